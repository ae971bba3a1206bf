package manifest

import (
	"fmt"
	"iter"
	"math/bits"
)

// Holdings says which pieces of one video a node has: a bit for each piece.
// It is not safe for concurrent use; its owner locks it. Its methods panic on
// a block that the video has not got.
type Holdings struct {
	size   int64
	masks  []uint32 // of each block; bit i is piece i
	pieces int      // held
	bytes  int64    // held
}

// NewHoldings returns empty holdings of a video of size bytes, 0 to
// MaxVideoSize.
func NewHoldings(size int64) *Holdings {
	return &Holdings{size: size, masks: make([]uint32, NumBlocks(size))}
}

// AllHoldings returns the holdings of a node that has the whole video.
func AllHoldings(size int64) *Holdings {
	h := NewHoldings(size)
	for i := range h.masks {
		h.Add(i, h.FullMask(i))
	}
	return h
}

// Clone returns a copy that shares nothing with h.
func (h *Holdings) Clone() *Holdings {
	c := *h
	c.masks = append([]uint32(nil), h.masks...)
	return &c
}

// NumBlocks is the number of blocks in the video.
func (h *Holdings) NumBlocks() int { return len(h.masks) }

// FullMask has the bit of every piece of a block set.
func (h *Holdings) FullMask(block int) uint32 {
	return uint32(uint64(1)<<NumPieces(BlockLen(h.size, block)) - 1)
}

// Mask has the bits of the held pieces of a block set.
func (h *Holdings) Mask(block int) uint32 { return h.masks[block] }

// Has tells whether one piece is held.
func (h *Holdings) Has(block, piece int) bool { return h.masks[block]&(1<<piece) != 0 }

// Full tells whether all of a block is held.
func (h *Holdings) Full(block int) bool { return h.masks[block] == h.FullMask(block) }

// Complete tells whether the whole video is held.
func (h *Holdings) Complete() bool { return h.bytes == h.size }

// Pieces is the number of pieces held.
func (h *Holdings) Pieces() int { return h.pieces }

// Bytes is the number of bytes held.
func (h *Holdings) Bytes() int64 { return h.bytes }

// Add marks the pieces in mask as held and returns those that are new. Bits
// beyond the block's last piece are ignored.
func (h *Holdings) Add(block int, mask uint32) uint32 {
	added := mask & h.FullMask(block) &^ h.masks[block]
	h.masks[block] |= added
	h.count(block, added, +1)
	return added
}

// Remove marks the pieces in mask as not held.
func (h *Holdings) Remove(block int, mask uint32) {
	gone := mask & h.masks[block]
	h.masks[block] &^= gone
	h.count(block, gone, -1)
}

func (h *Holdings) count(block int, mask uint32, sign int) {
	h.pieces += sign * bits.OnesCount32(mask)
	blockLen := BlockLen(h.size, block)
	for ; mask != 0; mask &= mask - 1 {
		h.bytes += int64(sign * PieceLen(blockLen, bits.TrailingZeros32(mask)))
	}
}

// Bitmap has one bit for each block, lowest bit first, set for full blocks.
func (h *Holdings) Bitmap() []byte {
	out := make([]byte, bitmapLen(len(h.masks)))
	for i := range h.masks {
		if h.Full(i) {
			out[i/8] |= 1 << (i % 8)
		}
	}
	return out
}

// SetBitmap marks as held every block whose bit is set. A bitmap of another
// length, or with bits beyond the last block, is refused.
func (h *Holdings) SetBitmap(bitmap []byte) error {
	if len(bitmap) != bitmapLen(len(h.masks)) {
		return fmt.Errorf("bitmap of %d bytes for %d blocks, want %d", len(bitmap), len(h.masks), bitmapLen(len(h.masks)))
	}
	if spare := len(h.masks) % 8; spare != 0 && bitmap[len(bitmap)-1]>>spare != 0 {
		return fmt.Errorf("bitmap has bits beyond block %d", len(h.masks)-1)
	}
	for i := range h.masks {
		if bitmap[i/8]&(1<<(i%8)) != 0 {
			h.Add(i, h.FullMask(i))
		}
	}
	return nil
}

func bitmapLen(blocks int) int { return (blocks + 7) / 8 }

// Partial yields the blocks of which some but not all pieces are held, with
// their masks.
func (h *Holdings) Partial() iter.Seq2[int, uint32] {
	return func(yield func(int, uint32) bool) {
		for i, mask := range h.masks {
			if mask != 0 && !h.Full(i) && !yield(i, mask) {
				return
			}
		}
	}
}
