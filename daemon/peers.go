package daemon

import (
	"context"
	"slices"
	"sync"
	"time"

	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/vidsync/vidsync/api"
)

// pingTimeout bounds the wait for one peer's round trip.
const pingTimeout = time.Second

// ID returns who this node is and where it listens.
func (n *Node) ID(ctx context.Context) (api.Identity, error) {
	net, err := n.network(ctx)
	if err != nil {
		return api.Identity{}, err
	}
	return api.Identity{PeerID: n.self.String(), Addrs: net.fullAddrs()}, nil
}

// AddPeer trusts a peer, and connects to it if its address is known.
func (n *Node) AddPeer(_ context.Context, req api.AddPeerRequest) (api.Peer, error) {
	info, err := parsePeer(req.Addr)
	if err != nil {
		return api.Peer{}, err
	}
	if info.ID == n.self {
		return api.Peer{}, api.Errorf(api.CodeUsage, "%s is this node itself", info.ID)
	}
	p, err := n.trust.add(info, req.Name)
	if err != nil {
		return api.Peer{}, err
	}
	return listedPeer(p), nil
}

// RemovePeer stops trusting a peer, and cuts the connection to it at once.
func (n *Node) RemovePeer(_ context.Context, ref string) (api.Peer, error) {
	p, err := n.trust.remove(ref)
	if err != nil {
		return api.Peer{}, err
	}
	if net := n.onlineNow(); net != nil {
		net.host.ConnManager().Unprotect(p.ID, protectTag)
		if err := net.host.Network().ClosePeer(p.ID); err != nil {
			n.log.Warn("close connection", "peer", p.ID, "error", err)
		}
	}
	out := listedPeer(p)
	out.Trusted = false
	return out, nil
}

func listedPeer(p trustedPeer) api.Peer {
	addrs := p.Addrs
	if addrs == nil {
		addrs = []string{}
	}
	return api.Peer{Name: p.Name, PeerID: p.ID.String(), Addrs: addrs, Trusted: true}
}

// onlineNow is the network if Run has begun, else nil.
func (n *Node) onlineNow() *network {
	select {
	case <-n.ready:
		return n.online
	default:
		return nil
	}
}

// Peers lists the trusted peers and everyone who is connected.
func (n *Node) Peers(ctx context.Context) ([]api.Peer, error) {
	var peers []api.Peer
	for _, p := range n.trust.all() {
		peers = append(peers, listedPeer(p))
	}
	net := n.onlineNow()
	if net == nil {
		return append([]api.Peer{}, peers...), nil
	}
	for _, id := range net.host.Network().Peers() {
		if !slices.ContainsFunc(peers, func(p api.Peer) bool { return p.PeerID == id.String() }) {
			peers = append(peers, api.Peer{PeerID: id.String(), Addrs: []string{}})
		}
	}
	var wg sync.WaitGroup
	for i := range peers {
		wg.Go(func() { n.observe(ctx, net, &peers[i]) })
	}
	wg.Wait()
	return append([]api.Peer{}, peers...), nil
}

// observe adds what the network knows of a peer.
func (n *Node) observe(ctx context.Context, net *network, p *api.Peer) {
	id, err := peer.Decode(p.PeerID)
	if err != nil {
		return // from our own list: cannot happen, and there is nothing to add
	}
	traffic := net.traffic.GetBandwidthForPeer(id)
	p.RateIn, p.RateOut, p.BytesIn, p.BytesOut = traffic.RateIn, traffic.RateOut, traffic.TotalIn, traffic.TotalOut
	if why, banned := n.bans.of(p.PeerID); banned {
		p.Banned, p.BannedReason = true, why
	}
	conns := net.host.Network().ConnsToPeer(id)
	if len(conns) == 0 {
		return
	}
	p.Connected = true
	remote := conns[0].RemoteMultiaddr()
	p.Transport = transportOf(remote)
	if addr := remote.String(); !slices.Contains(p.Addrs, addr) {
		p.Addrs = append(slices.Clip(p.Addrs), addr)
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	ctx = libp2pnet.WithNoDial(ctx, "round trip")
	if res, ok := <-ping.Ping(ctx, net.host, id); ok && res.Error == nil {
		p.RoundTripMS = float64(res.RTT.Microseconds()) / 1000
	}
}

func transportOf(a ma.Multiaddr) string {
	if _, err := a.ValueForProtocol(ma.P_QUIC_V1); err == nil {
		return "quic-v1"
	}
	if _, err := a.ValueForProtocol(ma.P_TCP); err == nil {
		return "tcp"
	}
	return "other"
}

// maxBans bounds how many misbehaving peers are remembered.
const maxBans = 1024

// banList remembers who sent wrong bytes, for the node's life.
type banList struct {
	mu      sync.Mutex
	reasons map[string]string // by peer ID
}

func (b *banList) add(peer string, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reasons == nil {
		b.reasons = map[string]string{}
	}
	if len(b.reasons) < maxBans {
		b.reasons[peer] = why.Error()
	}
}

func (b *banList) of(peer string) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	why, ok := b.reasons[peer]
	return why, ok
}
