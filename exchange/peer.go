package exchange

import (
	"context"
	"time"

	"github.com/vidsync/vidsync/manifest"
)

const (
	// minWindow is what a peer may owe before anything is measured, and at
	// the least: one piece on the wire and the next one asked for.
	minWindow = 2 << 20
	// maxWindow is the most that one peer may owe.
	maxWindow = 64 << 20
	// slack is how much longer than a round trip the work of a peer should
	// last: what a late decision or a burst may cost without leaving it idle.
	slack = time.Second
	// maxDenied is how many pieces a peer may deny in a row.
	maxDenied = 8
	// assumedRate in bytes per second stands for that of a peer that has
	// not delivered yet.
	assumedRate = 1 << 20
)

// Peer is one remote node that may hold pieces of the video.
type Peer interface {
	// ID names the peer. It is constant.
	ID() string
	// Run keeps the connection up and reports through update what the peer
	// holds: mask has all pieces of a block that it holds now. It calls update
	// for all it holds first, then for changes, and never once it has
	// returned. It returns when ctx ends or the peer is lost.
	Run(ctx context.Context, update func(block int, mask uint32)) error
	// Get delivers one piece, unverified, and is called concurrently while
	// Run runs. Pieces may come in any order. The caller calls release once,
	// when done with data and proof; on an error there is none to call. An
	// error that wraps fs.ErrNotExist means that the peer has not got the
	// piece. When ctx ends Get returns soon, and the peer is told not to send.
	Get(ctx context.Context, block, piece int) (data, proof []byte, release func(), err error)
}

// peer is what the exchange knows of one Peer while it is here.
type peer struct {
	remote Peer
	holder *holder
	record *record
	start  func(*request)     // starts to Get it
	leave  context.CancelFunc // ends Run and every Get
	gone   bool

	requests []*request // that it owes, oldest first
	owed     int64      // their bytes
	rate     rate
	quickest time.Duration // shortest time from asking for a piece to having it
	heard    time.Time     // last delivery or, if later, when it began to owe

	passedOver bool          // in this round of asking
	yieldSince time.Time     // since when it is left to other fetchers; zero: it is not
	yielded    time.Duration // how long it was before that

	pausedUntil time.Time
	strikes     int // failures since its last good piece
	denials     int // pieces that it announced and had not got
	denied      int // the same, since it last delivered one
	stalls      int // silences since its last piece
}

// window is the number of bytes that the peer may owe: what it delivers in a
// round trip and the slack. The quickest answer stands for the round trip. It
// is one piece too long, which does no harm. An average would: while the
// window is what limits the peer, an average cannot tell distance from load.
func (p *peer) window() int64 {
	switch {
	case p.stalls > 0:
		return manifest.PieceSize // a probe
	case !p.rate.known():
		return minWindow
	}
	bytes := p.rate.perSecond * (p.quickest + slack).Seconds()
	return int64(min(max(bytes, minWindow), maxWindow))
}

// ready tells whether one more piece may be asked of the peer.
func (p *peer) ready(now time.Time) bool {
	return !now.Before(p.pausedUntil) && p.owed+manifest.PieceSize <= p.window()
}

// speed is the rate in bytes per second to reckon with.
func (p *peer) speed() float64 {
	if !p.rate.known() {
		return assumedRate
	}
	return p.rate.perSecond
}

// finish is how long the peer would take to deliver one piece asked of it now.
func (p *peer) finish() time.Duration {
	if !p.rate.known() {
		return timeFor(p.owed+manifest.PieceSize, assumedRate)
	}
	return p.quickest + timeFor(p.owed, p.rate.perSecond)
}

// owe adds a request.
func (p *peer) owe(r *request, now time.Time) {
	if len(p.requests) == 0 {
		p.heard = now
	}
	p.requests = append(p.requests, r)
	p.owed += r.flight.size
	r.sent = now
}

// delivered measures the peer by a piece that has come.
func (p *peer) delivered(r *request, now time.Time) {
	p.rate.add(r.flight.size, now.Sub(p.heard))
	if took := now.Sub(r.sent); p.quickest == 0 || p.stalls > 0 {
		p.quickest = took
	} else {
		p.quickest = min(p.quickest, took)
	}
	p.heard = now
	p.denied = 0
}

// admit starts a peer, unless it is known to lie or is here already.
func (x *Exchange) admit(ctx context.Context, remote Peer) {
	id := remote.ID()
	x.mu.Lock()
	defer x.mu.Unlock()
	switch r := x.recordOf(id); r.state {
	case Gone:
		x.welcome(ctx, remote, r)
	case Active, Stalled:
		x.successors[id] = remote
	}
}

// welcome starts the peer's Run.
func (x *Exchange) welcome(ctx context.Context, remote Peer, r *record) {
	peerCtx, leave := context.WithCancel(ctx)
	p := &peer{remote: remote, holder: x.index.join(r.id), record: r, leave: leave}
	p.start = func(r *request) {
		requestCtx, cancel := context.WithCancel(peerCtx)
		r.cancel = cancel
		x.group.Go(func() { x.fetch(ctx, requestCtx, r) })
	}
	r.state = Active
	x.peers = append(x.peers, p)
	x.group.Go(func() {
		defer leave()
		err := remote.Run(peerCtx, func(block int, mask uint32) { x.update(p, block, mask) })
		x.lost(ctx, p, err)
	})
}

// update records what a peer holds of a block. What it says is hostile input.
func (x *Exchange) update(p *peer, block int, mask uint32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p.gone || block < 0 || block >= x.index.blocks {
		return
	}
	x.index.learn(p.holder, block, mask)
	x.startReading(p, block)
	select {
	case x.learned <- struct{}{}:
	default: // Run has been told and has not looked yet
	}
}

// startReading asks p for the first piece of all if somebody reads in that block,
// who need not wait until more is known of other peers.
func (x *Exchange) startReading(p *peer, block int) {
	from, to := x.index.head()
	reads := x.index.reading && from == block && p.holder.useful.next(from, to) == from
	if now := time.Now(); reads && len(x.flights) == 0 && !x.over && x.hasMemory() && p.ready(now) {
		x.ask(p, x.index.lowest(p.holder, block), now)
	}
}

// lost deals with a peer whose Run has returned.
func (x *Exchange) lost(ctx context.Context, p *peer, err error) {
	id := p.record.id
	x.cfg.Logger.Debug("peer lost", "peer", id, "err", err)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dismiss(p, Gone)
	if ctx.Err() != nil {
		return // lost because Run ends, which is for Run to tell
	}
	if next, ok := x.successors[id]; ok {
		delete(x.successors, id)
		x.welcome(ctx, next, p.record)
	}
	x.schedule(time.Now())
	x.conclude()
}

// ban dismisses a peer that lied, for as long as the exchange lasts, and tells
// whether this is news.
func (x *Exchange) ban(id string) bool {
	r := x.recordOf(id)
	if r.state == Banned {
		return false
	}
	r.state = Banned
	delete(x.successors, id)
	for _, p := range x.peers {
		if p.record == r { // the liar, or what came back under its name
			x.dismiss(p, Banned)
			break
		}
	}
	return true
}

// dismiss takes a peer out and gives all its pieces back.
func (x *Exchange) dismiss(p *peer, state State) {
	if p.gone {
		return
	}
	p.gone = true
	p.record.state = state
	p.leave()
	x.peers = without(x.peers, p)
	x.index.leave(p.holder)
	for len(p.requests) > 0 {
		x.withdraw(p.requests[0])
	}
}
