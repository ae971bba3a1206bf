package exchange

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/vidsync/vidsync/manifest"
)

// flight is one piece on its way: asked of one or two peers, then landed,
// then in the sink.
type flight struct {
	piece
	size     int64      // in bytes
	requests []*request // not answered yet
	landed   bool       // received, and being written
}

// request is one piece asked of one peer.
type request struct {
	peer      *peer
	flight    *flight
	cancel    context.CancelFunc
	sent      time.Time
	withdrawn bool // no longer expected
}

// ask asks p for a piece, which may already be asked of another peer.
func (x *Exchange) ask(p *peer, at piece, now time.Time) {
	f := x.flights[at]
	if f == nil {
		f = &flight{piece: at, size: x.index.pieceLen(at)}
		x.flights[at] = f
	}
	x.index.take(at)
	r := &request{peer: p, flight: f}
	f.requests = append(f.requests, r)
	x.inFlight += f.size
	p.owe(r, now)
	p.start(r)
}

// withdraw stops expecting an answer. A piece that is then in no good hands is
// wanted again.
func (x *Exchange) withdraw(r *request) {
	r.cancel()
	r.withdrawn = true
	x.inFlight -= r.flight.size
	r.peer.owed -= r.flight.size
	r.peer.requests = without(r.peer.requests, r)
	f := r.flight
	f.requests = without(f.requests, r)
	if !f.inGoodHands() {
		x.index.giveBack(f.piece)
	}
	if len(f.requests) == 0 && !f.landed {
		delete(x.flights, f.piece)
	}
}

// inGoodHands tells whether the piece is here or asked of a peer that answers.
func (f *flight) inGoodHands() bool {
	return f.landed || slices.ContainsFunc(f.requests, func(r *request) bool { return r.peer.stalls == 0 })
}

// fetch carries a request out, from Get to Put. runCtx lasts as long as Run,
// since a piece that has come is written even if its peer is lost meanwhile.
func (x *Exchange) fetch(runCtx, ctx context.Context, r *request) {
	defer r.cancel()
	f := r.flight
	data, proof, release, err := r.peer.remote.Get(ctx, f.block, f.index)
	if err != nil {
		if ctx.Err() == nil {
			x.cfg.Logger.Debug("piece not delivered", "peer", r.peer.record.id, "block", f.block, "piece", f.index, "err", err)
		}
		x.failed(r, err)
		return
	}
	if !x.land(r, len(data)) {
		release()
		return
	}
	err = x.write(runCtx, f.piece, data, proof)
	release()
	x.settle(runCtx, r, err)
}

// write puts a piece into the sink once a writer is free.
func (x *Exchange) write(ctx context.Context, at piece, data, proof []byte) error {
	select {
	case x.writers <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-x.writers }()
	return x.sink.Put(ctx, at.block, at.index, data, proof)
}

// failed deals with a request that brought no piece.
func (x *Exchange) failed(r *request, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if r.withdrawn || x.over {
		return
	}
	p, now := r.peer, time.Now()
	x.withdraw(r)
	if errors.Is(err, fs.ErrNotExist) {
		x.forget(p, r.flight.piece, now)
		x.partWith(p)
	} else {
		p.strike(now)
	}
	x.schedule(now)
}

// forget records that a peer has not got a piece that it said it had.
func (x *Exchange) forget(p *peer, at piece, now time.Time) {
	p.holder.denied = true
	x.index.learn(p.holder, at.block, p.holder.holdings.Mask(at.block)&^at.mask())
	p.denied++
	if p.denials++; p.denials%denialsPerStrike == 0 {
		p.strike(now)
	}
}

// partWith lets a peer go that denies one piece after another, or has denied
// some that it announced and offers nothing else. What it said it holds is not so
// any more, and it may never say so: asked anew, it tells what it holds now.
func (x *Exchange) partWith(p *peer) {
	if p.denied >= maxDenied || p.denials > 0 && len(p.requests) == 0 && !x.index.offers(p.holder) {
		x.dismiss(p, Gone)
	}
}

// had records that a piece is in the sink. It may be the last that a peer offered
// which has denied others.
func (x *Exchange) had(at piece) {
	x.index.add(at)
	for _, p := range slices.Clone(x.peers) {
		x.partWith(p)
	}
}

// land records that a piece has come, and tells whether it is still needed.
// The copy asked of another peer is cancelled.
func (x *Exchange) land(r *request, n int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.received += int64(n)
	r.peer.record.bytes += int64(n)
	if r.withdrawn {
		x.duplicate += int64(n)
		return false
	}
	now, f := time.Now(), r.flight
	f.landed = true
	x.index.take(f.piece)
	r.peer.delivered(r, now)
	x.revive(r.peer, now)
	for len(f.requests) > 0 {
		x.withdraw(f.requests[0])
	}
	x.inFlight += f.size // until it is written
	x.schedule(now)
	return true
}

// settle deals with what the sink said of a piece.
func (x *Exchange) settle(ctx context.Context, r *request, err error) {
	if x.settled(ctx, r, err) {
		x.cfg.OnBad(r.peer.record.id, r.flight.block, r.flight.index, err)
	}
}

// settled tells whether the piece convicted its peer.
func (x *Exchange) settled(ctx context.Context, r *request, err error) (convicted bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f := r.flight
	x.inFlight -= f.size
	delete(x.flights, f.piece)
	switch {
	case err == nil:
		x.had(f.piece)
		r.peer.strikes = 0
	case errors.Is(err, manifest.ErrCorrupt):
		x.index.giveBack(f.piece)
		convicted = x.ban(r.peer.record.id)
	case ctx.Err() == nil:
		x.end(fmt.Errorf("keep piece %d of block %d: %w", f.index, f.block, err))
	}
	x.schedule(time.Now())
	x.conclude()
	return convicted
}

// without returns list less item, in the same order and the same memory.
func without[T comparable](list []T, item T) []T {
	at := slices.Index(list, item)
	return slices.Delete(list, at, at+1)
}
