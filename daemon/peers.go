package daemon

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
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

// AddPeer trusts a peer, and connects to it if its address is known. A ban of
// the peer is lifted.
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
	_, err = n.bans.forgive(info.ID)
	notify(n.removals.due)
	return listedPeer(p), err
}

// RemovePeer stops trusting a peer, and cuts the connection to it at once. A ban
// of the peer is lifted, also of one that is not trusted.
func (n *Node) RemovePeer(_ context.Context, ref string) (api.Peer, error) {
	p, err := n.trust.remove(ref)
	if id, idErr := peer.Decode(ref); api.CodeOf(err) == api.CodeNotFound && idErr == nil {
		if forgiven, err := n.bans.forgive(id); forgiven || err != nil {
			return api.Peer{PeerID: ref, Addrs: []string{}}, err
		}
	}
	if err != nil {
		return api.Peer{}, err
	}
	if _, err := n.bans.forgive(p.ID); err != nil {
		return api.Peer{}, err
	}
	if net := n.onlineNow(); net != nil {
		net.host.ConnManager().Unprotect(p.ID, protectTag)
		if err := net.host.Network().ClosePeer(p.ID); err != nil {
			n.log.Warn("close connection", "peer", p.ID, "error", err)
		}
	}
	n.reauthorize()
	n.removals.settled()
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

// Peers lists the peers that are trusted, banned or connected.
func (n *Node) Peers(ctx context.Context) ([]api.Peer, error) {
	peers := []api.Peer{}
	for _, p := range n.trust.all() {
		peers = append(peers, listedPeer(p))
	}
	others := n.bans.peers(time.Now())
	net := n.onlineNow()
	if net != nil {
		others = append(others, net.host.Network().Peers()...)
	}
	for _, id := range others {
		if !slices.ContainsFunc(peers, func(p api.Peer) bool { return p.PeerID == id.String() }) {
			peers = append(peers, api.Peer{PeerID: id.String(), Addrs: []string{}})
		}
	}
	var wg sync.WaitGroup
	for i := range peers {
		n.tellBan(&peers[i])
		if net != nil {
			wg.Go(func() { n.observe(ctx, net, &peers[i]) })
		}
	}
	wg.Wait()
	return peers, nil
}

// tellBan adds the latest ban of a peer.
func (n *Node) tellBan(p *api.Peer) {
	id, err := peer.Decode(p.PeerID)
	if err != nil {
		return // from our own list: cannot happen, and there is nothing to add
	}
	if b, banned := n.bans.of(id, time.Now()); banned {
		p.Banned, p.BannedReason, p.Ban = true, b.Reason, b.listed()
	}
}

// observe adds what the network knows of a peer.
func (n *Node) observe(ctx context.Context, net *network, p *api.Peer) {
	id, err := peer.Decode(p.PeerID)
	if err != nil {
		return // from our own list: cannot happen, and there is nothing to add
	}
	traffic := net.traffic.GetBandwidthForPeer(id)
	p.RateIn, p.RateOut, p.BytesIn, p.BytesOut = traffic.RateIn, traffic.RateOut, traffic.TotalIn, traffic.TotalOut
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
	if rtt, err := roundTrip(ctx, conns[0], pingTimeout); err == nil {
		p.RoundTripMS = float64(rtt.Microseconds()) / 1000
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
