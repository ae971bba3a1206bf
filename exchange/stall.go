package exchange

import "time"

const (
	// minPatience is how long a peer that owes something may always be silent.
	minPatience = 5 * time.Second
	// patienceFactor times what its work should take is what it may be, too.
	patienceFactor = 4
	// worstRate in bytes per second is expected of a peer not measured yet.
	worstRate = 128 << 10
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
	expected := float64(worstRate)
	if p.rate.known() {
		expected = p.rate.perSecond
	}
	patience := max(minPatience, patienceFactor*timeFor(p.owed, expected))
	return patience << min(p.stalls, maxDoublings)
}

// stall takes a silent peer's work away but for the oldest piece. That one is
// a probe: it may be asked of another peer too. If the other is first, the
// next probe waits, twice as long each time. A piece that another peer has
// already is no probe, since two silent peers would keep it from a third.
func (x *Exchange) stall(p *peer, now time.Time) {
	x.cfg.Logger.Debug("peer stalled", "peer", p.record.id, "owed", p.owed, "silence", p.silence(now))
	p.record.state = Stalled
	p.pausedUntil = now.Add(minPatience << min(p.stalls, maxDoublings))
	p.stalls++
	for len(p.requests) > 1 {
		x.withdraw(p.requests[len(p.requests)-1])
	}
	probe := p.requests[0]
	if len(probe.flight.requests) == maxCopies {
		x.withdraw(probe)
		return
	}
	x.index.giveBack(probe.flight.piece)
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
