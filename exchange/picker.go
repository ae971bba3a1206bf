package exchange

import "math/bits"

// headBlocks is the length of the head: the blocks that somebody reads first.
// Fetchers that share a source all want the same head, so it is short.
const headBlocks = 2

// pick chooses the piece to ask of h next; h must have a useful block. It
// neither scans pieces nor looks at other peers.
//
// While all peers have the whole video there is no rarity, and pieces come in
// the order of the video from where somebody reads; lead is the number of
// blocks that a slow peer stays behind that point, so that it takes what will
// be needed by the time it is done.
//
// When some peers are fetching too, the head comes first and then the rarest
// block, ties at random, so that fetchers hold different pieces and can trade
// them. For the same reason the head itself is taken in strict order only if
// somebody is known to read there. Sources that fetchers share come to this
// only when lots.go and leftover.go have no better choice.
func (ix *index) pick(h *holder, lead int) piece {
	if ix.partial == 0 {
		return ix.lowest(h, ix.following(h, lead))
	}
	from, to := ix.head()
	if ix.reading {
		if b := h.useful.next(from, to); b >= 0 {
			return ix.lowest(h, b)
		}
	} else if b := ix.rarest(h, from, to); b >= 0 {
		return ix.rarestPiece(h, b)
	}
	return ix.rarestPiece(h, ix.rarest(h, 0, ix.blocks))
}

// readFrom moves the head to block, as near as there is one.
func (ix *index) readFrom(block int) {
	ix.point = max(0, min(block, ix.blocks-1))
	ix.reading = true
}

// head returns the range of blocks that come first. It moves along with a
// reader; without one it is the beginning of the video and stays there.
func (ix *index) head() (from, to int) {
	from = ix.point
	if ix.reading {
		if b := ix.open.next(from, ix.blocks); b >= 0 {
			from = b
		}
	}
	return from, min(from+headBlocks, ix.blocks)
}

// following returns h's first useful block at least lead blocks behind the
// point where somebody reads, going round at the end.
func (ix *index) following(h *holder, lead int) int {
	from := ix.open.next(ix.point, ix.blocks)
	if from < 0 {
		return h.useful.next(0, ix.blocks)
	}
	if b := h.useful.next(min(from+lead, ix.blocks), ix.blocks); b >= 0 {
		return b
	}
	if b := h.useful.next(from, ix.blocks); b >= 0 {
		return b
	}
	return h.useful.next(0, from)
}

// rarest returns h's useful block of the lowest rank in [from, to), or -1.
func (ix *index) rarest(h *holder, from, to int) int {
	for rank := range ix.ranked {
		if b := ix.anyUseful(h, &ix.ranked[rank], from, to); b >= 0 {
			h.begun = b
			return b
		}
	}
	return -1
}

// anyUseful returns one of h's useful blocks that are in set and in [from, to),
// or -1. It stays with the block that h is at, so that blocks get finished, and
// else takes any: not one that others have begun, or all fetchers would ask
// their source for the rest of the same blocks.
func (ix *index) anyUseful(h *holder, set *blockSet, from, to int) int {
	if set.count == 0 {
		return -1
	}
	if b := nextCommon(set, &h.useful, max(from, h.begun), min(to, h.begun+1)); b >= 0 {
		return b
	}
	middle := from + ix.random.IntN(to-from)
	if b := nextCommon(set, &h.useful, middle, to); b >= 0 {
		return b
	}
	return nextCommon(set, &h.useful, from, middle)
}

// lowest returns the first piece of a block that is wanted and that h holds.
func (ix *index) lowest(h *holder, block int) piece {
	offered := ix.wanted(block) & h.holdings.Mask(block)
	return piece{block, bits.TrailingZeros32(offered)}
}

// rarestPiece returns the piece of a block that is wanted, that h holds, and
// that the fewest others hold; any of them where equal.
func (ix *index) rarestPiece(h *holder, block int) piece {
	offered := ix.wanted(block) & h.holdings.Mask(block)
	for _, tier := range ix.tiers(block, offered) {
		if tier != 0 {
			return piece{block, ix.anyBit(tier)}
		}
	}
	panic("exchange: internal error: picked a block that offers nothing")
}

// anyBit returns the number of a random bit that is set in mask.
func (ix *index) anyBit(mask uint32) int {
	for range ix.random.IntN(bits.OnesCount32(mask)) {
		mask &= mask - 1
	}
	return bits.TrailingZeros32(mask)
}
