package protocol

import (
	"container/list"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// opening counts the streams that have proved nothing yet. When all places are
// taken, the oldest stream of the peer with most of them makes room: strangers
// who hold streams open cannot keep others out.
type opening struct {
	total, perPeer int

	mu      sync.Mutex
	streams list.List // of *opener, oldest first
	peers   map[peer.ID]int
}

// opener is one stream that has a place.
type opener struct {
	peer peer.ID
	drop func() // ends the stream
}

func newOpening(total, perPeer int) *opening {
	return &opening{total: total, perPeer: perPeer, peers: make(map[peer.ID]int)}
}

// take gives p a place, unless p has its share. The result gives the place
// back and may be called more than once. drop is called, from some other take,
// when the place is needed for another stream.
func (o *opening) take(p peer.ID, drop func()) (give func(), ok bool) {
	o.mu.Lock()
	if o.peers[p] >= o.perPeer {
		o.mu.Unlock()
		return nil, false
	}
	makeRoom := func() {}
	if o.streams.Len() >= o.total {
		victim := o.greediest()
		makeRoom = victim.Value.(*opener).drop
		o.remove(victim)
	}
	e := o.streams.PushBack(&opener{peer: p, drop: drop})
	o.peers[p]++
	o.mu.Unlock()
	makeRoom()
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.remove(e)
	}, true
}

// greediest is the oldest stream of the peer with most. The caller holds mu.
func (o *opening) greediest() *list.Element {
	most := o.streams.Front()
	for e := most; e != nil; e = e.Next() {
		if o.peers[e.Value.(*opener).peer] > o.peers[most.Value.(*opener).peer] {
			most = e
		}
	}
	return most
}

// remove takes a stream off the list, if it still is on it. The caller holds mu.
func (o *opening) remove(e *list.Element) {
	w := e.Value.(*opener)
	if w.drop == nil {
		return
	}
	w.drop = nil
	o.streams.Remove(e)
	if o.peers[w.peer]--; o.peers[w.peer] == 0 {
		delete(o.peers, w.peer)
	}
}
