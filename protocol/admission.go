package protocol

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// admission counts places: so many in all, so many for each peer.
type admission struct {
	total, perPeer int

	mu    sync.Mutex
	taken int
	peers map[peer.ID]int // only peers that have a place
}

func newAdmission(total, perPeer int) *admission {
	return &admission{total: total, perPeer: perPeer, peers: make(map[peer.ID]int)}
}

// take gives p a place, if there is one.
func (a *admission) take(p peer.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.taken >= a.total || a.peers[p] >= a.perPeer {
		return false
	}
	a.taken++
	a.peers[p]++
	return true
}

// give takes back a place that p had.
func (a *admission) give(p peer.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.taken--
	if a.peers[p]--; a.peers[p] == 0 {
		delete(a.peers, p)
	}
}
