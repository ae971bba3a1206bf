package exchange

import "math/bits"

// blockSet is a set of blocks of one video, a bit each: 8 KiB for 2 TiB.
type blockSet struct {
	words []uint64
	count int
}

func newBlockSet(blocks int) blockSet {
	return blockSet{words: make([]uint64, (blocks+63)/64)}
}

// set puts block in the set or takes it out.
func (s *blockSet) set(block int, in bool) {
	word, bit := &s.words[block/64], uint64(1)<<(block%64)
	switch was := *word&bit != 0; {
	case in && !was:
		*word |= bit
		s.count++
	case was && !in:
		*word &^= bit
		s.count--
	}
}

// next returns the first block of the set in [from, to), or -1.
func (s *blockSet) next(from, to int) int { return nextCommon(s, s, from, to) }

// nextCommon returns the first block in [from, to) that is in both sets, or -1.
func nextCommon(a, b *blockSet, from, to int) int {
	skip := ^uint64(0) << (from % 64)
	for w := from / 64; w*64 < to; w++ {
		if common := a.words[w] & b.words[w] & skip; common != 0 {
			block := w*64 + bits.TrailingZeros64(common)
			if block < to {
				return block
			}
			return -1
		}
		skip = ^uint64(0)
	}
	return -1
}

// last returns the last block of the set below to, or -1.
func (s *blockSet) last(to int) int {
	for b := to - 1; b >= 0; b = b/64*64 - 1 {
		if word := s.words[b/64] << (63 - b%64); word != 0 {
			return b - bits.LeadingZeros64(word)
		}
	}
	return -1
}
