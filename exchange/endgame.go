package exchange

import (
	"cmp"
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
		f := r.flight
		if len(f.requests) == maxCopies || r != r.peer.requests[0] {
			x.withdraw(f.slowest(now))
		}
		x.ask(p, f.piece, now)
	}
}

// latest returns a request for the piece expected last, of those that p could
// deliver sooner; nil if there is none.
func (x *Exchange) latest(p *peer, now time.Time) *request {
	var last *request
	worst := time.Duration(gain * float64(p.finish()))
	for _, other := range x.peers {
		r := x.newestFor(p, other, now)
		if r == nil {
			continue
		}
		if t := r.flight.remaining(now); t > worst {
			last, worst = r, t
		}
	}
	return last
}

// newestFor returns the newest of other's requests that p may take over. The
// oldest may be on the wire, and is left alone until nothing else is wanted
// or it is late.
func (x *Exchange) newestFor(p, other *peer, now time.Time) *request {
	for i, r := range slices.Backward(other.requests) {
		if !p.holder.holds(r.flight.piece) || r.flight.askedOf(p) {
			continue
		}
		if i > 0 || x.index.open.count == 0 || other.late(now) {
			return r
		}
	}
	return nil
}

// askedOf tells whether p is one of the peers that the piece is asked of.
func (f *flight) askedOf(p *peer) bool {
	return slices.ContainsFunc(f.requests, func(r *request) bool { return r.peer == p })
}

// remaining is how long the piece should still take.
func (f *flight) remaining(now time.Time) time.Duration {
	soonest := f.requests[0].remaining(now)
	for _, r := range f.requests[1:] {
		soonest = min(soonest, r.remaining(now))
	}
	return soonest
}

// slowest returns the request whose answer should take the longest.
func (f *flight) slowest(now time.Time) *request {
	return slices.MaxFunc(f.requests, func(a, b *request) int {
		return cmp.Compare(a.remaining(now), b.remaining(now))
	})
}

// remaining is how long the answer should still take. Of a peer that is late
// the best guess is that it will be as late again.
func (r *request) remaining(now time.Time) time.Duration {
	p := r.peer
	ahead := int64(0)
	for _, other := range p.requests[:slices.Index(p.requests, r)] {
		ahead += other.flight.size
	}
	planned := timeFor(ahead+r.flight.size, p.speed()) - p.silence(now)
	return max(planned, p.silence(now)-p.usual())
}

// late tells whether the peer's next piece should have come long ago.
func (p *peer) late(now time.Time) bool {
	return p.silence(now).Seconds() > gain*p.usual().Seconds()
}

// usual is how long the peer takes from one piece to the next.
func (p *peer) usual() time.Duration {
	return max(p.quickest, timeFor(manifest.PieceSize, p.speed()))
}
