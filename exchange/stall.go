package exchange

import (
	"slices"
	"time"
)

const (
	// minPatience is how long a peer that owes something may always be silent.
	minPatience = 5 * time.Second
	// patienceFactor times what its work should take is also allowed.
	patienceFactor = 4
	// maxDoublings ends the growth of patience with a stalled peer.
	maxDoublings = 5
	// strikePause is how long a peer rests after its first failure. Each
	// further one doubles it, up to maxDoublings times.
	strikePause = time.Second
	// denialsPerStrike is the number of pieces that a peer may announce and
	// then not have before that counts as one failure.
	denialsPerStrike = 4
)

// tick does what only the passing of time calls for.
func (x *Exchange) tick() {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	for _, p := range x.peers {
		if len(p.requests) > 0 && p.silence(now) > p.patience() {
			x.stall(p, now)
		}
	}
	x.schedule(now)
}

// silence is how long the peer has owed something and delivered nothing.
func (p *peer) silence(now time.Time) time.Duration {
	if len(p.requests) == 0 {
		return 0
	}
	return now.Sub(p.heard)
}

// patience is how long a silence may last before the peer counts as stalled,
// and then before it is looked at again.
func (p *peer) patience() time.Duration {
	patience := max(minPatience, patienceFactor*timeFor(p.owed, p.speed()))
	return patience << min(p.stalls, maxDoublings)
}

// stall takes a silent peer's work away but for the oldest requests, which may
// be under way after all: if it is only slow, alone or not measured yet, they
// will come. Their pieces may be asked of another peer meanwhile. If that one
// is first, the silent peer is asked for a single piece as a probe, after a
// pause that doubles each time. A piece that two peers have been asked for
// already is not kept, since two silent ones would keep it from a third.
func (x *Exchange) stall(p *peer, now time.Time) {
	p.record.state = Stalled
	p.pausedUntil = now.Add(minPatience << min(p.stalls, maxDoublings))
	p.stalls++
	for p.owed > minWindow {
		x.withdraw(p.requests[len(p.requests)-1])
	}
	for _, r := range slices.Clone(p.requests) {
		if len(r.flight.requests) == maxCopies {
			x.withdraw(r)
		} else {
			x.index.giveBack(r.flight.piece)
		}
	}
}

// revive ends a stall: a piece has come, so the others are in good hands again.
func (x *Exchange) revive(p *peer, now time.Time) {
	if p.stalls == 0 {
		return
	}
	p.record.state = Active
	p.pausedUntil = now
	p.stalls = 0
	for _, r := range p.requests {
		x.index.take(r.flight.piece)
	}
}

// strike makes a peer that failed rest. The requests that fail with the first
// one count as one failure.
func (p *peer) strike(now time.Time) {
	if now.Before(p.pausedUntil) {
		return
	}
	p.pausedUntil = now.Add(strikePause << min(p.strikes, maxDoublings))
	p.strikes++
}
