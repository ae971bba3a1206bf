package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/vidsync/vidsync/api"
)

const (
	// maxTrusted bounds the trust list.
	maxTrusted = 10_000
	// maxPeerAddrs bounds the addresses kept for one peer.
	maxPeerAddrs = 16
)

// trustedPeer is one line of the trust list.
type trustedPeer struct {
	ID    peer.ID   `json:"peer_id"`
	Name  string    `json:"name,omitempty"`
	Addrs []string  `json:"addrs,omitempty"` // multiaddrs without /p2p/
	Added time.Time `json:"added"`
}

func (p trustedPeer) info() peer.AddrInfo {
	info := peer.AddrInfo{ID: p.ID}
	for _, text := range p.Addrs {
		if a, err := ma.NewMultiaddr(text); err == nil {
			info.Addrs = append(info.Addrs, a)
		}
	}
	return info
}

// trustList is the peers that may read the catalogue and fetch everything. It
// is a file of its own, so that it outlives the index.
type trustList struct {
	path string

	mu    sync.Mutex
	peers []trustedPeer
}

func openTrustList(path string) (*trustList, error) {
	t := &trustList{path: path}
	data, err := readSmallFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read trust list: %w", err)
	}
	if err := json.Unmarshal(data, &t.peers); err != nil {
		return nil, fmt.Errorf("trust list %s is damaged: %w", path, err)
	}
	return t, nil
}

func (t *trustList) has(id peer.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.index(id) >= 0
}

// index is the peer's place in the list, or -1. The caller holds mu.
func (t *trustList) index(id peer.ID) int {
	return slices.IndexFunc(t.peers, func(p trustedPeer) bool { return p.ID == id })
}

// named is the place of the peer that a name or ID in text means, or -1. The
// caller holds mu.
func (t *trustList) named(text string) int {
	if i := slices.IndexFunc(t.peers, func(p trustedPeer) bool { return p.ID.String() == text }); i >= 0 {
		return i
	}
	return slices.IndexFunc(t.peers, func(p trustedPeer) bool { return p.Name != "" && p.Name == text })
}

// find is the peer that a name or ID in text means.
func (t *trustList) find(text string) (trustedPeer, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.named(text)
	if i < 0 {
		return trustedPeer{}, false
	}
	return t.peers[i], true
}

func (t *trustList) all() []trustedPeer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.peers)
}

// add puts a peer on the list, or adds a name or addresses to one that is on it.
func (t *trustList) add(info peer.AddrInfo, name string) (trustedPeer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	peers := slices.Clone(t.peers)
	i := t.index(info.ID)
	if namesake := t.named(name); name != "" && namesake >= 0 && namesake != i {
		return trustedPeer{}, api.Errorf(api.CodeUsage, "peer %s is named %q already; choose another name", peers[namesake].ID, name)
	}
	if i < 0 {
		if len(peers) >= maxTrusted {
			return trustedPeer{}, fmt.Errorf("the trust list is full (%d peers)", maxTrusted)
		}
		i = len(peers)
		peers = append(peers, trustedPeer{ID: info.ID, Added: time.Now().UTC()})
	}
	p := &peers[i]
	if name != "" {
		p.Name = name
	}
	p.Addrs = mergeAddrs(p.Addrs, info.Addrs)
	added := *p
	return added, t.save(peers)
}

// mergeAddrs puts new addresses in front of those known before.
func mergeAddrs(known []string, addrs []ma.Multiaddr) []string {
	var merged []string
	for _, a := range addrs {
		merged = append(merged, a.String())
	}
	for _, a := range known {
		if !slices.Contains(merged, a) {
			merged = append(merged, a)
		}
	}
	return merged[:min(len(merged), maxPeerAddrs)]
}

// remove takes a peer, named by its ID or name, off the list.
func (t *trustList) remove(ref string) (trustedPeer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.named(ref)
	if i < 0 {
		return trustedPeer{}, api.Errorf(api.CodeNotFound, "no trusted peer %q; see: vidsync peer ls", ref)
	}
	gone := t.peers[i]
	return gone, t.save(slices.Delete(slices.Clone(t.peers), i, i+1))
}

// save writes the list and, once it is on disk, takes it over. The caller
// holds mu.
func (t *trustList) save(peers []trustedPeer) error {
	data, err := json.MarshalIndent(peers, "", "  ")
	if err != nil {
		return fmt.Errorf("write trust list: %w", err)
	}
	if err := writeSmallFile(t.path, data); err != nil {
		return fmt.Errorf("write trust list: %w", err)
	}
	t.peers = peers
	return nil
}

// Authorize decides whether a peer may have a video. It looks at nothing but
// who asks and what capability they bear, so a stranger learns nothing of what
// is here. What a ticket allows ends with it. It implements protocol.Authorizer.
func (n *Node) Authorize(p peer.ID, video cid.Cid, capability []byte) (until time.Time, err error) {
	if n.cfg.Open || n.trust.has(p) {
		return time.Time{}, nil
	}
	if len(capability) == 0 {
		return time.Time{}, fmt.Errorf("peer %s is not trusted and bears no ticket", p)
	}
	c, err := parseCapability(capability)
	if err != nil {
		return time.Time{}, err
	}
	if err := c.check(video, time.Now()); err != nil {
		return time.Time{}, err
	}
	if err := n.honoured(c); err != nil {
		return time.Time{}, err
	}
	if c.Signer == n.self || n.trust.has(c.Signer) || n.broughtBy(video, c.Signer) {
		return c.Expires, nil
	}
	return time.Time{}, fmt.Errorf("ticket of peer %s is signed by %s, who is not trusted", p, c.Signer)
}

// AuthorizePeer decides whether a peer may see more than single videos. It
// implements protocol.PeerAuthorizer.
func (n *Node) AuthorizePeer(p peer.ID) error {
	if !n.trust.has(p) {
		return fmt.Errorf("peer %s is not trusted", p)
	}
	return nil
}

// broughtBy tells whether the video came here by a ticket of that signer, from
// others and not from files of this node. Who holds such a ticket may have the
// video from its signer anyway.
func (n *Node) broughtBy(video cid.Cid, signer peer.ID) bool {
	if f := n.lib.fetching(video); f != nil && f.broughtBy(signer) {
		return true
	}
	v, err := n.store.Video(video)
	return err == nil && v.Signer == signer.String()
}

// parsePeer reads a multiaddr with /p2p/, or a bare peer ID.
func parsePeer(text string) (peer.AddrInfo, error) {
	if !strings.HasPrefix(text, "/") {
		id, err := peer.Decode(text)
		if err != nil {
			return peer.AddrInfo{}, api.Errorf(api.CodeUsage, "%q is neither a peer ID nor a multiaddr such as /ip4/192.0.2.1/tcp/4101/p2p/12D3…", text)
		}
		return peer.AddrInfo{ID: id}, nil
	}
	info, err := peer.AddrInfoFromString(text)
	if err != nil {
		return peer.AddrInfo{}, api.Errorf(api.CodeUsage, "peer address %q: %w; it must end in /p2p/PEER-ID, as `vidsync id` prints it", text, err)
	}
	return *info, nil
}
