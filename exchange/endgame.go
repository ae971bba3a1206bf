package exchange

import (
	"slices"
	"time"

	"github.com/vidsync/vidsync/manifest"
)

// gain is how many times sooner a peer must be expected to finish before it
// takes work that another peer already has. It keeps equals from taking each
// other's work in turn.
const gain = 1.5

// maxCopies is the most peers that one piece is asked of at a time.
const maxCopies = 2

// relieve gives a peer that has room and nothing left to ask the work that
// others would finish last, if it would finish that sooner. Peers answer in
// order, so what waits in another's queue is moved: nothing is sent twice.
// What may be on the wire already is asked of both, and the first one wins.
func (x *Exchange) relieve(p *peer, now time.Time) {
	for p.holder.useful.count == 0 && p.ready(now) && x.hasMemory() {
		r := x.latest(p, now)
		if r == nil {
			return
		}
		if r != r.peer.requests[0] {
			x.withdraw(r)
		}
		x.ask(p, r.flight.piece, now)
	}
}

// latest returns the request expected to be answered last, of those that p
// could answer sooner; nil if there is none.
func (x *Exchange) latest(p *peer, now time.Time) *request {
	var last *request
	worst := time.Duration(gain * float64(p.finish()))
	for _, other := range x.peers {
		if other == p {
			continue
		}
		if r := x.newestFor(p, other, now); r != nil {
			if t := r.remaining(now); t > worst {
				last, worst = r, t
			}
		}
	}
	return last
}

// newestFor returns the newest of other's requests that p may take over. The
// oldest may be on the wire, and is left alone until nothing else is wanted
// or it is late.
func (x *Exchange) newestFor(p, other *peer, now time.Time) *request {
	for i, r := range slices.Backward(other.requests) {
		if len(r.flight.requests) >= maxCopies || !p.holder.holds(r.flight.piece) {
			continue
		}
		if i > 0 || x.index.open.count == 0 || other.late(now) {
			return r
		}
	}
	return nil
}

// remaining is how long the answer to a request should still take. After an
// unusual silence the best guess is that it lasts as long again.
func (r *request) remaining(now time.Time) time.Duration {
	p := r.peer
	var ahead int64
	for _, other := range p.requests {
		ahead += other.flight.size
		if other == r {
			break
		}
	}
	silence := p.silence(now)
	if p.late(now) {
		return max(silence*time.Duration(ahead/manifest.PieceSize), silence)
	}
	return timeFor(ahead, p.speed()) - silence
}

// late tells whether the peer's next piece should have come long ago.
func (p *peer) late(now time.Time) bool {
	return p.silence(now) > p.quickest+timeFor(manifest.PieceSize, p.speed())
}
