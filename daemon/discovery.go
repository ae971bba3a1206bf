package daemon

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"golang.org/x/sync/errgroup"
)

const (
	// mdnsService is vidsync's own name, so that other libp2p programs on the
	// LAN are left alone.
	mdnsService = "_vidsync._udp"
	// maxLANPeers bounds what mDNS may make us remember.
	maxLANPeers = 256

	mdnsRetry    = 15 * time.Second // while no interface is up
	dialTimeout  = 20 * time.Second
	redialFirst  = 1 * time.Second
	redialLast   = 2 * time.Minute
	contactCheck = 5 * time.Second
	protectTag   = "vidsync trusted"
)

// discover keeps the node in touch with the peers that it trusts and those it
// was told of, and listens for others on the LAN, until ctx ends.
func (n *network) discover(ctx context.Context, trust *trustList) error {
	g, ctx := errgroup.WithContext(ctx)
	if n.mdns {
		g.Go(func() error { return n.runMDNS(ctx) })
	}
	g.Go(func() error { return n.keepContact(ctx, trust) })
	return g.Wait()
}

// runMDNS announces the node and listens for others. The records are made once
// at start, so the service starts anew when the host's addresses change.
func (n *network) runMDNS(ctx context.Context) error {
	changed, err := n.host.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		return err
	}
	defer changed.Close()
	for ctx.Err() == nil {
		var retry <-chan time.Time
		service := mdns.NewMdnsService(n.host, mdnsService, n)
		if err := service.Start(); err != nil {
			n.log.Debug("mdns cannot start yet", "error", err)
			retry = time.After(mdnsRetry)
		}
		select {
		case <-ctx.Done():
		case <-changed.Out():
		case <-retry:
		}
		if err := service.Close(); err != nil {
			n.log.Debug("mdns stop", "error", err)
		}
	}
	return ctx.Err()
}

// HandlePeerFound remembers a node of this LAN. mDNS calls it.
func (n *network) HandlePeerFound(info peer.AddrInfo) {
	if info.ID == n.host.ID() || len(info.Addrs) == 0 {
		return
	}
	info.Addrs = info.Addrs[:min(len(info.Addrs), maxPeerAddrs)]
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lan[info.ID] = info
	for other := range n.lan {
		if len(n.lan) <= maxLANPeers {
			break
		}
		if other != info.ID {
			delete(n.lan, other) // any: map order is random, and it will be found again
		}
	}
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

// keepContact connects to trusted and static peers whenever they are not
// connected, each after a growing pause.
func (n *network) keepContact(ctx context.Context, trust *trustList) error {
	type attempt struct {
		next  time.Time
		pause time.Duration
	}
	attempts := map[peer.ID]*attempt{}
	var g errgroup.Group
	g.SetLimit(16)
	defer g.Wait()
	tick := time.NewTicker(contactCheck)
	defer tick.Stop()
	for {
		for _, info := range n.contacts(trust) {
			a := attempts[info.ID]
			if a == nil {
				a = &attempt{pause: redialFirst}
				attempts[info.ID] = a
			}
			if n.connected(info.ID) {
				a.pause = redialFirst
				continue
			}
			if time.Now().Before(a.next) {
				continue
			}
			if g.TryGo(func() error { n.connect(ctx, info); return nil }) {
				a.next = time.Now().Add(jitter(a.pause))
				a.pause = min(2*a.pause, redialLast)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// contacts are the peers worth a connection at any time, with all addresses
// known for them.
func (n *network) contacts(trust *trustList) []peer.AddrInfo {
	infos := slices.Clone(n.staticPeers())
	for _, p := range trust.all() {
		info := p.info()
		if lan, ok := n.onLAN(p.ID); ok {
			info.Addrs = append(info.Addrs, lan.Addrs...)
		}
		if len(info.Addrs) > 0 && info.ID != n.host.ID() {
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

// jitter spreads a pause over three quarters to five quarters of itself.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}
