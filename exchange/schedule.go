package exchange

import (
	"time"

	"github.com/vidsync/vidsync/manifest"
)

// schedule asks for as many pieces as peers and memory have room for, each of
// the peer that would finish it soonest. Peers with nothing left to ask then
// take work from others.
func (x *Exchange) schedule(now time.Time) {
	if x.over {
		return
	}
	for x.hasMemory() {
		p := x.soonest(now)
		if p == nil {
			break
		}
		x.ask(p, x.index.pick(p.holder, x.lead(p)), now)
	}
	for _, p := range x.peers {
		x.relieve(p, now)
	}
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
		if p.holder.useful.count == 0 || !p.ready(now) {
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
