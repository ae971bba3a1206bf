package protocol

import (
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// pairEvery is the least time between two attempts of one peer to pair, in
// which all peers together have maxPairings.
const (
	pairEvery   = time.Second
	maxPairings = 4
)

// attempts limits how often secrets are tried: one attempt of a peer in
// pairEvery, and maxPairings of all peers together. So it remembers no more
// than that many, however many peers there are.
type attempts struct {
	mu     sync.Mutex
	recent []attempt
}

type attempt struct {
	peer peer.ID
	at   time.Time
}

// allow tells whether p may try now, and counts that.
func (a *attempts) allow(p peer.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.recent = slices.DeleteFunc(a.recent, func(r attempt) bool { return now.Sub(r.at) >= pairEvery })
	if len(a.recent) >= maxPairings || slices.ContainsFunc(a.recent, func(r attempt) bool { return r.peer == p }) {
		return false
	}
	a.recent = append(a.recent, attempt{peer: p, at: now})
	return true
}
