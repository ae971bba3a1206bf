package exchange

import (
	"hash/fnv"
	"math/bits"
	"math/rand/v2"

	"github.com/vidsync/vidsync/manifest"
)

// Fetchers that share a source ask it for different pieces and then trade them,
// so that it sends every piece about once. They need not talk about which piece
// is whose: it falls to the fetcher that draws the highest lot for it, and every
// node can tell what the others draw.

const (
	// outlook is the number of blocks among which lots are compared.
	outlook = 8
	// maxTries is the most blocks that are looked at for a piece that fell to
	// somebody.
	maxTries = 64
)

// seedOf is what the node of that ID draws lots with. One that tells nobody
// its ID draws its own.
func seedOf(id string) uint64 {
	if id == "" {
		return rand.Uint64()
	}
	h := fnv.New64a()
	h.Write([]byte(id)) // never fails
	return h.Sum64()
}

// lot is what the node of that seed draws for a piece: SplitMix64, with the
// number of the piece as the step. It must be the same on all nodes.
func lot(seed uint64, p piece) uint64 {
	z := seed + 0x9e3779b97f4a7c15*uint64(p.block*manifest.PiecesPerBlock+p.index+1)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// sharedOut tells whether h is a source that this node shares with others: it
// has the whole video, and somebody else is fetching. A reader comes first.
func (ix *index) sharedOut(h *holder) bool {
	if ix.partial == 0 || !h.holdings.Complete() {
		return false
	}
	return !ix.reading || h.useful.next(ix.head()) < 0
}

// allotted returns the next piece that fell to this node, of those that h and
// no other fetcher holds; false if there is none. It goes through the video in
// order, but takes first what it drew its highest lots for among several
// blocks: that is its own even if there are more fetchers than it knows yet.
func (ix *index) allotted(h *holder) (piece, bool) {
	if at, ok := ix.highest(h, h.reached); ok || h.reached == 0 {
		return at, ok
	}
	return ix.highest(h, 0)
}

// highest returns the piece of this node's highest lot in the first blocks at
// from or later of which any piece fell to it.
func (ix *index) highest(h *holder, from int) (at piece, ok bool) {
	set, best, blocks := ix.unspread(), uint64(0), 0
	b := nextCommon(set, &h.useful, from, ix.blocks)
	for tries := 0; b >= 0 && tries < maxTries && blocks < outlook; tries++ {
		won := ix.won(b)
		if won != 0 && blocks == 0 {
			h.reached = b
		}
		if won != 0 {
			blocks++
		}
		for ; won != 0; won &= won - 1 {
			p := piece{b, bits.TrailingZeros32(won)}
			if own := lot(ix.self, p); own >= best {
				at, best, ok = p, own, true
			}
		}
		b = nextCommon(set, &h.useful, b+1, ix.blocks)
	}
	return at, ok
}

// won has the free pieces of a block that fell to this node.
func (ix *index) won(block int) (won uint32) {
	for free := ix.free(block); free != 0; free &= free - 1 {
		p := piece{block, bits.TrailingZeros32(free)}
		if ix.winner(p) == nil {
			won |= p.mask()
		}
	}
	return won
}

// winner is the fetcher to which a piece fell; nil is this node.
func (ix *index) winner(p piece) *holder {
	var winner *holder
	best := lot(ix.self, p)
	for _, h := range ix.holders {
		if !h.fetching() {
			continue
		}
		if drawn := lot(h.seed, p); drawn > best {
			winner, best = h, drawn
		}
	}
	return winner
}

// free has the wanted pieces of a block that no other fetcher holds.
func (ix *index) free(block int) uint32 {
	free := ix.wanted(block)
	for _, h := range ix.holders {
		if h.fetching() {
			free &^= h.holdings.Mask(block)
		}
	}
	return free
}

// unspread has all blocks with a free piece, and maybe others. There must be a
// source.
func (ix *index) unspread() *blockSet {
	sources := len(ix.holders) - ix.partial
	return &ix.ranked[min(sources, maxRarity)-1]
}
