package exchange

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"github.com/vidsync/vidsync/manifest"
)

// What to ask of a shared source when nothing is left there that fell to this
// node. What fell to the others and is about to come to them should not be sent
// twice; what they have in plenty had better be asked for by somebody idle; and
// what never comes to them must not be waited for.

const (
	// minYield is how long a shared source is left idle at the least, for what
	// other fetchers should have asked of it.
	minYield = 2 * time.Second
	// yieldPieces times what a piece takes is also left to them.
	yieldPieces = 4
)

// claim is a free piece that fell to another fetcher.
type claim struct {
	piece
	by  *holder
	lot uint64
}

// leftover returns a piece to ask of p, a shared source; false if it should be
// left idle for now.
func (x *Exchange) leftover(p *peer, now time.Time) (piece, bool) {
	claims := x.index.claims()
	if at, ok := x.index.surplus(claims, p.asksAhead()); ok {
		p.unyield(now)
		return at, true
	}
	if len(claims) > 0 && p.yield(now) {
		return piece{}, false
	}
	p.unyield(now)
	return x.index.pick(p.holder, x.lead(p)), true
}

// asksAhead is the number of pieces that a fetcher may have asked p for and
// not have announced yet. Others should do about as well with p as this node.
func (p *peer) asksAhead() int { return int(p.window()/manifest.PieceSize) + 1 }

// yield tells whether to leave p to others for now. All in all that may last no
// longer than what the others have asked for should take, whatever they say.
func (p *peer) yield(now time.Time) bool {
	if p.yieldSince.IsZero() {
		p.yieldSince = now
	}
	return p.yielded+now.Sub(p.yieldSince) < max(minYield, yieldPieces*p.usual())
}

// unyield notes that p is asked again.
func (p *peer) unyield(now time.Time) {
	if !p.yieldSince.IsZero() {
		p.yielded += now.Sub(p.yieldSince)
		p.yieldSince = time.Time{}
	}
}

// claims lists free pieces that fell to others, lowest lots first: of those
// blocks at the end of the video that have any.
func (ix *index) claims() (claims []claim) {
	set, blocks := ix.unspread(), 0
	b := set.last(ix.blocks)
	for tries := 0; b >= 0 && tries < maxTries && blocks < outlook; tries++ {
		before := len(claims)
		for free := ix.free(b); free != 0; free &= free - 1 {
			p := piece{b, bits.TrailingZeros32(free)}
			if by := ix.winner(p); by != nil {
				claims = append(claims, claim{p, by, lot(by.seed, p)})
			}
		}
		if len(claims) > before {
			blocks++
		}
		b = set.last(b)
	}
	slices.SortFunc(claims, func(a, b claim) int { return cmp.Compare(a.lot, b.lot) })
	return claims
}

// surplus returns the first claim that its fetcher will not have asked for
// yet, since it has more than ahead others to ask for first. Such pieces fall
// to the fetcher that draws the highest lot of those without a surplus, so that
// no two take the same. False means that none falls to this node.
func (ix *index) surplus(claims []claim, ahead int) (piece, bool) {
	for _, h := range ix.holders {
		h.claims, h.passed = 0, 0
	}
	for _, c := range claims {
		c.by.claims++
	}
	for _, c := range claims {
		c.by.passed++
		if c.by.claims-c.by.passed >= ahead && ix.winsOfIdle(c.piece, ahead) {
			return c.piece, true
		}
	}
	return piece{}, false
}

// winsOfIdle tells whether this node draws the highest lot for a piece of all
// fetchers without a surplus.
func (ix *index) winsOfIdle(p piece, ahead int) bool {
	own := lot(ix.self, p)
	return !slices.ContainsFunc(ix.holders, func(h *holder) bool {
		return h.fetching() && h.claims <= ahead && lot(h.seed, p) > own
	})
}
