package daemon

import (
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/vidsync/vidsync/api"
)

// What a relay service gives. libp2p's defaults are for strangers and for a
// few messages (128 KiB, two minutes); here all are trusted, and videos are
// large.
const (
	relayedDuration     = 24 * time.Hour
	relayedBytes        = 1 << 40
	relayReservations   = 256 // peers that can be reached through this node
	relayCircuits       = 16  // connections at once to one of them
	relayBuffer         = 64 << 10
	relayReservationTTL = time.Hour

	// relayRetry is the pause before a relay that could not be used is tried
	// again. libp2p's own is an hour.
	relayRetry = 30 * time.Second
)

// reach is how a host is found by, and finds its way to, nodes outside of its
// own network: addresses that a router forwards, hole punching, and relays.
// A relayed connection is one of last resort, and libp2p marks it as limited:
// protocol uses it only where Config.RelayData allows that.
func reach(cfg Config, trust *trustList, nat *natView, listen []string) ([]libp2p.Option, error) {
	opts := []libp2p.Option{
		libp2p.EnableRelay(),
		libp2p.EnableHolePunching(),
		libp2p.EnableNATService(),
	}
	if !cfg.NoPortMap && listensOutside(listen) {
		opts = append(opts, libp2p.NATManager(nat.manager))
	}
	if cfg.RelayService {
		opts = append(opts, libp2p.ForceReachabilityPublic(), libp2p.EnableRelayService(
			relay.WithACL(relayForTrusted{trust, cfg.Open}), relay.WithResources(relayResources())))
	}
	if len(cfg.Relays) == 0 {
		return opts, nil
	}
	if cfg.RelayService {
		return nil, api.Errorf(api.CodeUsage, "--relay-service and --relay exclude each other: a relay has to be reachable by itself")
	}
	relays, err := parseRelays(cfg.Relays)
	if err != nil {
		return nil, err
	}
	return append(opts, libp2p.ForceReachabilityPrivate(), libp2p.EnableAutoRelayWithStaticRelays(relays,
		autorelay.WithBootDelay(0), autorelay.WithBackoff(relayRetry), autorelay.WithMinInterval(relayRetry))), nil
}

func parseRelays(texts []string) ([]peer.AddrInfo, error) {
	relays := make([]peer.AddrInfo, 0, len(texts))
	for _, text := range texts {
		info, err := parsePeer(text)
		if err != nil {
			return nil, fmt.Errorf("relay: %w", err)
		}
		if len(info.Addrs) == 0 {
			return nil, api.Errorf(api.CodeUsage, "relay %q has no address; give it as a multiaddr such as /ip4/192.0.2.1/tcp/4101/p2p/12D3…", text)
		}
		relays = append(relays, info)
	}
	return relays, nil
}

// listensOutside tells whether any address is reachable from other machines.
func listensOutside(listen []string) bool {
	return slices.ContainsFunc(listen, func(text string) bool {
		a, err := ma.NewMultiaddr(text)
		return err == nil && !manet.IsIPLoopback(a)
	})
}

func relayResources() relay.Resources {
	r := relay.DefaultResources()
	r.Limit = &relay.RelayLimit{Duration: relayedDuration, Data: relayedBytes}
	r.ReservationTTL = relayReservationTTL
	r.MaxReservations = relayReservations
	r.MaxReservationsPerIP, r.MaxReservationsPerASN = maxConnsPerAddress, relayReservations
	r.MaxCircuits = relayCircuits
	r.BufferSize = relayBuffer
	return r
}

// relayForTrusted lets trusted peers be reached through this node, and lets
// them reach each other.
type relayForTrusted struct {
	trust *trustList
	open  bool
}

// AllowReserve implements relay.ACLFilter.
func (r relayForTrusted) AllowReserve(p peer.ID, _ ma.Multiaddr) bool {
	return r.open || r.trust.has(p)
}

// AllowConnect implements relay.ACLFilter.
func (r relayForTrusted) AllowConnect(src peer.ID, _ ma.Multiaddr, dest peer.ID) bool {
	return r.open || r.trust.has(src) && r.trust.has(dest)
}

// isRelayed tells whether an address leads over a relay.
func isRelayed(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}
