package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"
)

const (
	// mdnsService is vidsync's own name, so that other libp2p programs on the
	// LAN are left alone.
	mdnsService = "_vidsync._udp"
	// maxLANPeers bounds what mDNS may make us remember.
	maxLANPeers = 256

	mdnsRetry   = 15 * time.Second // while no interface is up
	dialTimeout = 20 * time.Second
	protectTag  = "vidsync trusted"
)

// discover keeps the node in touch with the peers that it trusts and those it
// was told of, and listens for others on the LAN, until ctx ends.
func (n *network) discover(ctx context.Context, trust *trustList) error {
	g, ctx := errgroup.WithContext(ctx)
	if n.mdns {
		g.Go(func() error { return n.runMDNS(ctx) })
	}
	g.Go(func() error { return n.watchInterfaces(ctx) })
	g.Go(func() error { return n.probeSuspects(ctx) })
	g.Go(func() error { return n.observeNAT(ctx, trust) })
	g.Go(func() error { return n.keepContact(ctx, trust) })
	return g.Wait()
}

// runMDNS announces the node and listens for others. Both are about the
// interfaces and addresses of the moment, so the service starts anew when those
// change.
func (n *network) runMDNS(ctx context.Context) error {
	for ctx.Err() == nil {
		changed := n.interfaces.next()
		var retry <-chan time.Time
		service := mdns.NewMdnsService(currentHost{n.host, n.interfaces}, mdnsService, n)
		if err := service.Start(); err != nil {
			n.log.Debug("mdns cannot start yet", "error", err)
			retry = time.After(mdnsRetry)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-retry:
		}
		if err := service.Close(); err != nil {
			n.log.Debug("mdns stop", "error", err)
		}
	}
	return ctx.Err()
}

// currentHost is a host whose network knows its addresses of the moment. libp2p's
// own answer may be a minute old, and mDNS asks once.
type currentHost struct {
	host.Host
	interfaces *interfaces
}

// Network implements host.Host.
func (h currentHost) Network() libp2pnet.Network {
	return currentNetwork{h.Host.Network(), h.interfaces}
}

type currentNetwork struct {
	libp2pnet.Network
	interfaces *interfaces
}

// InterfaceListenAddresses implements network.Network.
func (n currentNetwork) InterfaceListenAddresses() ([]ma.Multiaddr, error) {
	return n.interfaces.listening(), nil
}

// HandlePeerFound remembers a node of this LAN. mDNS calls it.
func (n *network) HandlePeerFound(info peer.AddrInfo) {
	if info.ID == n.host.ID() || len(info.Addrs) == 0 {
		return
	}
	info.Addrs = info.Addrs[:min(len(info.Addrs), maxPeerAddrs)]
	n.suspectMoved(n.host.Network().ConnsToPeer(info.ID), info.Addrs)
	n.remember(info)
	notify(n.stirred)
}

func (n *network) remember(info peer.AddrInfo) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lan[info.ID] = info
	n.found[info.ID] = true
	for other := range n.lan {
		if len(n.lan) <= maxLANPeers {
			break
		}
		if other != info.ID {
			delete(n.lan, other) // any: map order is random, and it will be found again
			delete(n.found, other)
		}
	}
}

// justFound are the peers that mDNS found since the last call.
func (n *network) justFound() map[peer.ID]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	found := n.found
	n.found = map[peer.ID]bool{}
	return found
}

// onLAN is what mDNS found of a peer.
func (n *network) onLAN(id peer.ID) (peer.AddrInfo, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	info, ok := n.lan[id]
	return info, ok
}

// lanPeers is everybody that mDNS found.
func (n *network) lanPeers() []peer.AddrInfo {
	n.mu.Lock()
	defer n.mu.Unlock()
	found := make([]peer.AddrInfo, 0, len(n.lan))
	for _, info := range n.lan {
		found = append(found, info)
	}
	return found
}

// contacts are the peers worth a connection at any time, with the addresses that
// are known for them beside those that the host remembers for some minutes.
func (n *network) contacts(trust *trustList) []peer.AddrInfo {
	infos := slices.Clone(n.staticPeers())
	for _, p := range trust.all() {
		info := p.info()
		if lan, ok := n.onLAN(p.ID); ok {
			info.Addrs = append(info.Addrs, lan.Addrs...)
		}
		known := len(info.Addrs) > 0 || len(n.host.Peerstore().Addrs(p.ID)) > 0 // from when it was last connected
		if known && info.ID != n.host.ID() {
			infos = append(infos, info)
		}
		n.host.ConnManager().Protect(p.ID, protectTag)
	}
	return infos
}

// connected tells whether there is a connection to the peer, and not just one
// over a relay.
func (n *network) connected(id peer.ID) bool {
	return n.host.Network().Connectedness(id) == libp2pnet.Connected
}

// relayOnly tells whether the peer's only connection leads over a relay that
// videos may not cross.
func (n *network) relayOnly(id peer.ID) bool {
	return !n.relayed && n.host.Network().Connectedness(id) == libp2pnet.Limited
}

// connect dials a peer and logs, for the curious, why that failed. A peer that
// is connected over a relay is dialled straight, so that it does not stay with
// that; being left with the relay is no error.
func (n *network) connect(ctx context.Context, info peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if dialer, ok := n.host.Network().(*swarm.Swarm); ok {
		dialer.Backoff().Clear(info.ID) // callers pause in a way of their own
	}
	overRelay := n.host.Network().Connectedness(info.ID) == libp2pnet.Limited
	if overRelay {
		ctx = libp2pnet.WithForceDirectDial(ctx, "have a relayed connection")
	}
	err := n.host.Connect(ctx, info)
	if err != nil && overRelay {
		n.log.Debug("connected over a relay only", "peer", info.ID, "error", err)
		return nil
	}
	if err != nil {
		n.log.Debug("connect", "peer", info.ID, "error", err)
	}
	return err
}
