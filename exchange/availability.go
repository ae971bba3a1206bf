package exchange

import (
	"math/rand/v2"
	"slices"

	"github.com/vidsync/vidsync/manifest"
)

// maxRarity is the number of holders from which a piece counts as common.
const maxRarity = 4

// noRank is the rank of a block of which nothing can be asked now.
const noRank = maxRarity

// piece names one piece of the video.
type piece struct{ block, index int }

func (p piece) mask() uint32 { return 1 << p.index }

// index knows which pieces are wanted (neither had nor on their way) and which
// peers hold them. It keeps masks and bitmaps by block, nothing by piece, and
// every change touches one block.
type index struct {
	size    int64
	blocks  int
	have    *manifest.Holdings // in the sink
	taken   []uint32           // of each block, the pieces on their way
	holders []*holder
	partial int // holders that lack something: they are fetching too

	open   blockSet // blocks with a wanted piece
	rank   []uint8  // of each block
	ranked [noRank]blockSet

	point   int  // block where somebody reads
	reading bool // somebody asked for point, it is not just the beginning
	random  *rand.Rand
	self    uint64 // what this node draws lots with
}

// holder is what one peer has.
type holder struct {
	seed     uint64 // that it draws lots with
	holdings *manifest.Holdings
	useful   blockSet // blocks of which it holds a wanted piece
	begun    int      // block that was last picked for it
	reached  int      // block from which on lots are compared for it
	denied   bool     // it announced a piece and had not got it

	claims, passed int // used by surplus
}

// fetching tells whether it lacks something and can be taken at its word.
func (h *holder) fetching() bool { return !h.denied && !h.holdings.Complete() }

func (h *holder) holds(p piece) bool { return h.holdings.Has(p.block, p.index) }

func newIndex(size int64, have *manifest.Holdings, self string) *index {
	blocks := have.NumBlocks()
	ix := &index{
		size:   size,
		blocks: blocks,
		self:   seedOf(self),
		have:   have,
		taken:  make([]uint32, blocks),
		open:   newBlockSet(blocks),
		rank:   make([]uint8, blocks),
		random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
	for i := range ix.ranked {
		ix.ranked[i] = newBlockSet(blocks)
	}
	for b := range blocks {
		ix.rank[b] = noRank
		ix.refresh(b)
	}
	return ix
}

func (ix *index) pieceLen(p piece) int64 {
	return int64(manifest.PieceLen(manifest.BlockLen(ix.size, p.block), p.index))
}

// wanted has the pieces of a block that are neither had nor on their way.
func (ix *index) wanted(block int) uint32 {
	return ix.have.FullMask(block) &^ (ix.have.Mask(block) | ix.taken[block])
}

// take marks a piece as on its way.
func (ix *index) take(p piece) {
	if ix.taken[p.block]&p.mask() == 0 {
		ix.taken[p.block] |= p.mask()
		ix.refresh(p.block)
	}
}

// giveBack makes a piece wanted again, unless it is had.
func (ix *index) giveBack(p piece) {
	if ix.taken[p.block]&p.mask() != 0 {
		ix.taken[p.block] &^= p.mask()
		ix.refresh(p.block)
	}
}

// add marks a piece as had.
func (ix *index) add(p piece) {
	ix.have.Add(p.block, p.mask())
	ix.taken[p.block] &^= p.mask()
	ix.refresh(p.block)
}

// join adds a holder that has nothing yet.
func (ix *index) join(id string) *holder {
	h := &holder{seed: seedOf(id), holdings: manifest.NewHoldings(ix.size), useful: newBlockSet(ix.blocks)}
	ix.holders = append(ix.holders, h)
	ix.partial++
	return h
}

// offers tells whether a holder has any piece that is not had, be it on its way
// or not.
func (ix *index) offers(h *holder) bool {
	if h.useful.count > 0 {
		return true
	}
	for b := range ix.blocks {
		if h.holdings.Mask(b)&^ix.have.Mask(b) != 0 {
			return true
		}
	}
	return false
}

// leave takes a holder out.
func (ix *index) leave(h *holder) {
	at := slices.Index(ix.holders, h)
	ix.holders = slices.Delete(ix.holders, at, at+1)
	if !h.holdings.Complete() {
		ix.partial--
	}
	for b := range ix.blocks {
		if h.holdings.Mask(b) != 0 {
			ix.refresh(b)
		}
	}
}

// learn records that of a block h holds the pieces in mask and no others.
func (ix *index) learn(h *holder, block int, mask uint32) {
	was := h.holdings.Complete()
	h.holdings.Remove(block, ^mask)
	h.holdings.Add(block, mask)
	switch is := h.holdings.Complete(); {
	case is && !was:
		ix.partial--
	case was && !is:
		ix.partial++
	}
	ix.refresh(block)
}

// refresh brings all that follows from a block's masks up to date.
func (ix *index) refresh(block int) {
	wanted := ix.wanted(block)
	for _, h := range ix.holders {
		h.useful.set(block, h.holdings.Mask(block)&wanted != 0)
	}
	ix.open.set(block, wanted != 0)
	rank := ix.rankOf(block, wanted)
	if was := ix.rank[block]; was != rank {
		ix.rank[block] = rank
		ix.move(block, was, rank)
	}
}

func (ix *index) move(block int, from, to uint8) {
	if from != noRank {
		ix.ranked[from].set(block, false)
	}
	if to != noRank {
		ix.ranked[to].set(block, true)
	}
}

// rankOf is the fewest holders that any wanted piece of a block has, less one;
// noRank if nothing can be asked of the block.
func (ix *index) rankOf(block int, wanted uint32) uint8 {
	for i, tier := range ix.tiers(block, wanted) {
		if tier != 0 {
			return uint8(i)
		}
	}
	return noRank
}

// tiers sorts the pieces in mask by their number of holders: tier 0 has those
// with one holder, the last one those with maxRarity or more. A piece that
// nobody holds is in none.
func (ix *index) tiers(block int, mask uint32) (tiers [maxRarity]uint32) {
	if mask == 0 {
		return tiers
	}
	for _, h := range ix.holders { // here tier i has those with more than i holders
		held := h.holdings.Mask(block) & mask
		for i := maxRarity - 1; i > 0; i-- {
			tiers[i] |= tiers[i-1] & held
		}
		tiers[0] |= held
	}
	for i := range maxRarity - 1 {
		tiers[i] &^= tiers[i+1]
	}
	return tiers
}
