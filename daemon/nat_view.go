package daemon

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"github.com/libp2p/go-libp2p/core/event"
	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	bhost "github.com/libp2p/go-libp2p/p2p/host/basic"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// maxObservers bounds the peers whose view of this node is remembered.
const maxObservers = 64

// natView is what trusted and static peers see of this node, and what that says
// of the router before it. libp2p decides on a kind of NAT only after it has
// heard nine peers.
type natView struct {
	events event.Subscription // what observeNAT takes; it closes it

	mu       sync.Mutex
	router   bhost.NATManager              // nil: it is not asked for a port
	observed map[netip.Addr]netip.AddrPort // this node's UDP address as an observer with that address sees it
	behind   map[netip.Addr]netip.Addr     // observer by observer, the address that connections seem to come from
	inbound  ma.Multiaddr                  // whence the latest connection from another machine came
	public   libp2pnet.Reachability
}

func newNATView() *natView {
	return &natView{observed: map[netip.Addr]netip.AddrPort{}, behind: map[netip.Addr]netip.Addr{}}
}

// manager is libp2p's, which asks the router for ports.
func (v *natView) manager(n libp2pnet.Network) bhost.NATManager {
	m := bhost.NewNATManager(n)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.router = m
	return m
}

// listenForNAT subscribes to what observeNAT takes, so early that nothing is
// missed of the first connections.
func (n *network) listenForNAT() (err error) {
	n.nat.events, err = n.host.EventBus().Subscribe([]any{new(event.EvtPeerIdentificationCompleted), new(event.EvtLocalReachabilityChanged)})
	return err
}

// observeNAT gathers what peers see, until ctx ends.
func (n *network) observeNAT(ctx context.Context, trust *trustList) error {
	defer n.nat.events.Close()
	losses := n.interfaces.lossesSoFar()
	for {
		changed := n.interfaces.next()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			if now := n.interfaces.lossesSoFar(); now != losses {
				n.nat.forget()
				losses = now
			}
		case e := <-n.nat.events.Out():
			switch e := e.(type) {
			case event.EvtPeerIdentificationCompleted:
				known := trust.has(e.Peer) || slices.ContainsFunc(n.staticPeers(), func(s peer.AddrInfo) bool { return s.ID == e.Peer })
				if known && e.Conn != nil && !e.Conn.Stat().Limited {
					n.nat.hear(e.Conn, e.ObservedAddr)
				}
			case event.EvtLocalReachabilityChanged:
				n.nat.reachable(e.Reachability)
			}
		}
	}
}

// forget drops what was seen at another place.
func (v *natView) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.observed)
	clear(v.behind)
	v.inbound = nil
}

func (v *natView) reachable(r libp2pnet.Reachability) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.public = r
}

// hear takes what the peer at the other end of a connection saw.
func (v *natView) hear(conn libp2pnet.Conn, observed ma.Multiaddr) {
	from, err := manet.ToIP(conn.RemoteMultiaddr())
	if err != nil || from.IsLoopback() {
		return
	}
	observer := addrOf(from)
	v.mu.Lock()
	defer v.mu.Unlock()
	if conn.Stat().Direction == libp2pnet.DirInbound {
		v.inbound = conn.RemoteMultiaddr()
	}
	if _, known := v.behind[observer]; observed == nil || !known && len(v.behind) >= maxObservers {
		return
	}
	ip, err := manet.ToIP(observed)
	if err != nil {
		return
	}
	v.behind[observer] = addrOf(ip)
	udp, err := observed.ValueForProtocol(ma.P_UDP)
	if port, portErr := strconv.ParseUint(udp, 10, 16); err == nil && portErr == nil {
		v.observed[observer] = netip.AddrPortFrom(addrOf(ip), uint16(port))
	}
}
