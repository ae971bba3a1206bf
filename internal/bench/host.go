package main

import (
	"fmt"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
)

// stock is TLS and yamux as libp2p sets them up. The daemon's own connections
// are protocol.Connections.
func stock() libp2p.Option { return libp2p.Security(libp2ptls.ID, libp2ptls.New) }

// newHost makes a libp2p host with the daemon's transport and options, without
// its limits, on such connections. listen may be empty. The caller closes it.
func newHost(connections libp2p.Option, listen ...string) (host.Host, error) {
	limits := rcmgr.NewFixedLimiter(rcmgr.InfiniteLimits)
	resources, err := rcmgr.NewResourceManager(limits, rcmgr.WithMetricsDisabled())
	if err != nil {
		return nil, err
	}
	where := libp2p.ListenAddrStrings(listen...)
	if len(listen) == 0 {
		where = libp2p.NoListenAddrs
	}
	return libp2p.New(
		where,
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		connections,
		libp2p.ResourceManager(resources),
		libp2p.BandwidthReporter(metrics.NewBandwidthCounter()),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
	)
}

// fullAddr is where a host listens, with its peer ID.
func fullAddr(h host.Host) (multiaddr.Multiaddr, error) {
	addrs := h.Network().ListenAddresses()
	if len(addrs) == 0 {
		return nil, fmt.Errorf("host %s does not listen", h.ID())
	}
	return multiaddr.NewMultiaddr(fmt.Sprintf("%s/p2p/%s", addrs[0], h.ID()))
}
