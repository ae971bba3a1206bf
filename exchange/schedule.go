package exchange

import (
	"time"

	"github.com/vidsync/vidsync/manifest"
)

// schedule asks for as many pieces as peers and memory have room for, each of
// the peer that would finish it soonest. Sources that are shared with other
// fetchers are asked first for what fell to this node, and for other pieces
// only once no fetcher has room for them. Peers with nothing left to ask then
// take work from others.
func (x *Exchange) schedule(now time.Time) {
	if x.over {
		return
	}
	if x.fill(now, (*Exchange).own) {
		x.fill(now, (*Exchange).any)
	}
	for _, p := range x.peers {
		x.relieve(p, now)
	}
}

// fill asks for the pieces that choose names, and tells whether a peer with room
// was passed over since there is none for it.
func (x *Exchange) fill(now time.Time, choose func(*Exchange, *peer, time.Time) (piece, bool)) (passedOver bool) {
	for _, p := range x.peers {
		p.passedOver = false
	}
	for x.hasMemory() {
		p := x.soonest(now)
		if p == nil {
			break
		}
		if at, ok := choose(x, p, now); ok {
			x.ask(p, at, now)
		} else {
			p.passedOver, passedOver = true, true
		}
	}
	return passedOver
}

// own chooses a piece to ask of p: of a shared source one that fell to this
// node, if there is any.
func (x *Exchange) own(p *peer, now time.Time) (piece, bool) {
	if !x.index.sharedOut(p.holder) {
		return x.index.pick(p.holder, x.lead(p)), true
	}
	at, ok := x.index.allotted(p.holder)
	if ok {
		p.unyield(now)
	}
	return at, ok
}

// any is own, but chooses other pieces of a shared source, too.
func (x *Exchange) any(p *peer, now time.Time) (piece, bool) {
	if at, ok := x.own(p, now); ok {
		return at, true
	}
	return x.leftover(p, now)
}

// hasMemory tells whether one more piece fits under Config.MaxInFlight.
func (x *Exchange) hasMemory() bool {
	return x.inFlight+manifest.PieceSize <= x.cfg.MaxInFlight
}

// soonest returns the peer that would finish one more piece first, of those
// that have room and hold something wanted; nil if there is none.
func (x *Exchange) soonest(now time.Time) *peer {
	var best *peer
	var bestTime time.Duration
	for _, p := range x.peers {
		if p.passedOver || p.holder.useful.count == 0 || !p.ready(now) {
			continue
		}
		if t := p.finish(); best == nil || t < bestTime {
			best, bestTime = p, t
		}
	}
	return best
}

// lead is the number of blocks that all peers together fetch in the time that
// p needs longer for a piece than the quickest of them: what lies nearer is
// better asked of somebody else.
func (x *Exchange) lead(p *peer) int {
	own := p.finish()
	soonest, total := own, 0.0
	for _, other := range x.peers {
		if other.stalls == 0 {
			soonest = min(soonest, other.finish())
			total += other.speed()
		}
	}
	blocks := (own - soonest).Seconds() * total / manifest.BlockSize
	return int(min(blocks, float64(x.index.blocks)))
}
