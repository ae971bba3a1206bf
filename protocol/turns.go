package protocol

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// blameFor times the standstill is how long a peer is given nothing scarce
// after it had to leave a place.
const blameFor = 6

// turns hands out places to peers one after another, each in its turn, however
// many streams it waits with. So a peer gains nothing by opening more streams.
//
// A holder that lets its place stand idle for standstill, by not taking what
// is written to it, has to leave when others wait. Its peer gets no further
// place until it moves, or for some time after it had to leave, unless half of
// all are free. Else peers that never read would take the place again.
type turns struct {
	total, perPeer int
	standstill     time.Duration

	mu      sync.Mutex
	free    int
	parties map[peer.ID]*party
	ring    []*party // those that wait; next in turn first
}

// party is a peer that holds places or waits for some.
type party struct {
	peer    peer.ID
	held    []*place
	waiting []*waiter // oldest first
	left    time.Time // when it last had to leave a place; zero if never
}

type waiter struct {
	granted *place        // set before ready is closed
	ready   chan struct{} // closed when it has a place
}

// place is one of the places, until give.
type place struct {
	turns *turns
	party *party
	still time.Time // since when its holder has not moved; zero if nothing asks it to
}

func newTurns(total, perPeer int, standstill time.Duration) *turns {
	return &turns{
		total: total, perPeer: perPeer, standstill: standstill,
		free: total, parties: make(map[peer.ID]*party),
	}
}

// take waits for a place for p. The caller gives it back.
func (t *turns) take(ctx context.Context, p peer.ID) (*place, error) {
	pl, w := t.queue(p)
	if pl != nil {
		return pl, nil
	}
	select {
	case <-w.ready:
		return w.granted, nil
	case <-ctx.Done():
		if pl := t.leaveQueue(p, w); pl != nil {
			pl.give()
		}
		return nil, ctx.Err()
	}
}

// queue takes a place if there is one for p, else its turn among those that wait.
func (t *turns) queue(p peer.ID) (*place, *waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.parties[p]
	if g == nil {
		g = &party{peer: p}
		t.parties[p] = g
	}
	if t.free > 0 && len(g.waiting) == 0 && t.mayTake(g, time.Now()) {
		return t.grant(g), nil
	}
	w := &waiter{ready: make(chan struct{})}
	if g.waiting = append(g.waiting, w); len(g.waiting) == 1 {
		t.ring = append(t.ring, g)
	}
	return nil, w
}

// leaveQueue gives up waiting. The result is the place that came meanwhile.
func (t *turns) leaveQueue(p peer.ID, w *waiter) *place {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.granted != nil {
		return w.granted
	}
	g := t.parties[p]
	at := slices.Index(g.waiting, w)
	g.waiting = slices.Delete(g.waiting, at, at+1)
	if len(g.waiting) == 0 {
		at := slices.Index(t.ring, g)
		t.ring = slices.Delete(t.ring, at, at+1)
	}
	t.forget(g, time.Now())
	return nil
}

// mayTake tells whether a free place may go to g. The caller holds mu.
func (t *turns) mayTake(g *party, now time.Time) bool {
	return len(g.held) < t.perPeer && (2*t.free >= t.total || !t.stands(g, now))
}

// stands tells whether a place of g stands idle, or did until it had to leave.
// The caller holds mu.
func (t *turns) stands(g *party, now time.Time) bool {
	return t.blamed(g, now) || slices.ContainsFunc(g.held, func(pl *place) bool { return t.idle(pl, now) })
}

func (t *turns) blamed(g *party, now time.Time) bool {
	return !g.left.IsZero() && now.Sub(g.left) < blameFor*t.standstill
}

func (t *turns) idle(pl *place, now time.Time) bool {
	return !pl.still.IsZero() && now.Sub(pl.still) >= t.standstill
}

// grant takes a free place for g. The caller holds mu.
func (t *turns) grant(g *party) *place {
	pl := &place{turns: t, party: g}
	g.held = append(g.held, pl)
	t.free--
	return pl
}

// forget drops a peer that neither holds nor waits. The caller holds mu.
func (t *turns) forget(g *party, now time.Time) {
	if len(g.held) == 0 && len(g.waiting) == 0 && !t.blamed(g, now) {
		delete(t.parties, g.peer)
	}
}

// pass grants what is free to those that wait, in turn. The caller holds mu.
func (t *turns) pass(now time.Time) {
	for i := 0; i < len(t.ring) && t.free > 0; {
		g := t.ring[i]
		if !t.mayTake(g, now) {
			i++
			continue
		}
		w := g.waiting[0]
		g.waiting[0] = nil
		g.waiting = g.waiting[1:]
		w.granted = t.grant(g)
		close(w.ready)
		t.ring = slices.Delete(t.ring, i, i+1)
		if len(g.waiting) > 0 {
			t.ring = append(t.ring, g)
		}
	}
}

// give ends the use of the place.
func (pl *place) give() {
	t, g, now := pl.turns, pl.party, time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(g.held, pl)
	g.held = slices.Delete(g.held, at, at+1)
	t.free++
	t.forget(g, now)
	t.pass(now)
}

// moved notes that the holder has taken something, or is asked to from now on.
func (pl *place) moved() {
	t, now := pl.turns, time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	stood := t.idle(pl, now)
	pl.still = now
	if stood {
		t.pass(now)
	}
}

// rest notes that nothing is asked of the holder.
func (pl *place) rest() {
	pl.turns.mu.Lock()
	defer pl.turns.mu.Unlock()
	pl.still = time.Time{}
}

// mustLeave tells whether the place stands idle and is needed: all places are
// taken, and no more of them stand for longer than others wait for.
func (pl *place) mustLeave() bool {
	t, now := pl.turns, time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 || !t.idle(pl, now) || t.standingLonger(pl) >= t.needed(now) {
		return false
	}
	pl.party.left = now
	for _, g := range t.parties {
		t.forget(g, now)
	}
	return true
}

// needed counts those that wait and could take a place if there were more. The
// caller holds mu.
func (t *turns) needed(now time.Time) int {
	n := 0
	for _, g := range t.ring {
		if !t.stands(g, now) {
			n += min(len(g.waiting), t.perPeer-len(g.held))
		}
	}
	return n
}

// standingLonger counts the places that stand for longer than pl. The caller
// holds mu.
func (t *turns) standingLonger(pl *place) int {
	n := 0
	for _, g := range t.parties {
		for _, other := range g.held {
			if !other.still.IsZero() && other.still.Before(pl.still) {
				n++
			}
		}
	}
	return n
}
