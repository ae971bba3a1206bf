package manifest_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/vidsync/vidsync/manifest"
)

const (
	block = manifest.BlockSize
	piece = manifest.PieceSize
)

func TestSizes(t *testing.T) {
	for _, tc := range []struct {
		size                int64
		blocks              int
		lastLen             int64
		pieces, lastPieceLn int // of the last block
	}{
		{0, 0, 0, 0, 0},
		{1, 1, 1, 1, 1},
		{piece, 1, piece, 1, piece},
		{piece + 1, 1, piece + 1, 2, 1},
		{block - 1, 1, block - 1, 32, piece - 1},
		{block, 1, block, 32, piece},
		{block + 1, 2, 1, 1, 1},
		{16384 * block, 16384, block, 32, piece},
		{manifest.MaxVideoSize, 1 << 21, block, 32, piece},
	} {
		if got := manifest.NumBlocks(tc.size); got != tc.blocks {
			t.Errorf("NumBlocks(%d) = %d, want %d", tc.size, got, tc.blocks)
		}
		if tc.blocks == 0 {
			continue
		}
		last := manifest.BlockLen(tc.size, tc.blocks-1)
		if last != tc.lastLen || manifest.NumPieces(last) != tc.pieces || manifest.PieceLen(last, tc.pieces-1) != tc.lastPieceLn {
			t.Errorf("size %d: last block of %d bytes in %d pieces, the last of %d; want %d, %d, %d", tc.size,
				last, manifest.NumPieces(last), manifest.PieceLen(last, tc.pieces-1), tc.lastLen, tc.pieces, tc.lastPieceLn)
		}
	}
}

// model is holdings the slow way: the set of held pieces.
type model struct {
	size int64
	held map[[2]int]bool
}

func (m model) check(t *testing.T, h *manifest.Holdings) {
	t.Helper()
	pieces, bytes, complete := 0, int64(0), true
	partial := map[int]uint32{}
	for b := range manifest.NumBlocks(m.size) {
		mask, full := uint32(0), true
		blockLen := manifest.BlockLen(m.size, b)
		for p := range manifest.NumPieces(blockLen) {
			held := m.held[[2]int{b, p}]
			if h.Has(b, p) != held {
				t.Fatalf("Has(%d, %d) = %v, want %v", b, p, !held, held)
			}
			full = full && held
			if held {
				mask |= 1 << p
				pieces++
				bytes += int64(manifest.PieceLen(blockLen, p))
			}
		}
		if h.Mask(b) != mask || h.Full(b) != full {
			t.Fatalf("block %d: mask %#x, full %v; want %#x, %v", b, h.Mask(b), h.Full(b), mask, full)
		}
		complete = complete && full
		if mask != 0 && !full {
			partial[b] = mask
		}
	}
	if h.Pieces() != pieces || h.Bytes() != bytes || h.Complete() != complete {
		t.Fatalf("%d pieces, %d bytes, complete %v; want %d, %d, %v", h.Pieces(), h.Bytes(), h.Complete(), pieces, bytes, complete)
	}
	if got := maps.Collect(h.Partial()); !maps.Equal(got, partial) {
		t.Fatalf("Partial = %v, want %v", got, partial)
	}
}

func (m model) set(b int, mask uint32, held bool) (changed uint32) {
	for p := range manifest.NumPieces(manifest.BlockLen(m.size, b)) {
		if mask&(1<<p) != 0 && m.held[[2]int{b, p}] != held {
			m.held[[2]int{b, p}] = held
			changed |= 1 << p
		}
	}
	return changed
}

func TestHoldingsAgainstModel(t *testing.T) {
	for _, size := range []int64{0, 1, piece + 5, block, 3*block + 2*piece + 1, 9 * block} {
		rnd := rand.New(rand.NewPCG(1, uint64(size)))
		h, m := manifest.NewHoldings(size), model{size, map[[2]int]bool{}}
		m.check(t, h)
		for range 50 * h.NumBlocks() {
			b, mask := rnd.IntN(h.NumBlocks()), rnd.Uint32()
			if rnd.IntN(3) == 0 {
				mask = 1<<32 - 1
			}
			if rnd.IntN(3) == 0 {
				h.Remove(b, mask)
				m.set(b, mask, false)
			} else if got, want := h.Add(b, mask), m.set(b, mask, true); got != want {
				t.Fatalf("Add(%d, %#x) = %#x, want %#x", b, mask, got, want)
			}
			m.check(t, h)
		}
	}
}

func TestAllHoldings(t *testing.T) {
	for _, size := range []int64{0, 1, block, 2*block + 3*piece + 7} {
		h := manifest.AllHoldings(size)
		if !h.Complete() || h.Bytes() != size {
			t.Errorf("size %d: complete %v with %d bytes", size, h.Complete(), h.Bytes())
		}
		for range h.Partial() {
			t.Errorf("size %d: has a partial block", size)
		}
	}
	if h := manifest.AllHoldings(block + piece + 1); h.FullMask(0) != 1<<32-1 || h.FullMask(1) != 3 {
		t.Errorf("full masks %#x and %#x", h.FullMask(0), h.FullMask(1))
	}
}

func TestHoldingsClone(t *testing.T) {
	h := manifest.NewHoldings(2 * block)
	h.Add(0, 1)
	c := h.Clone()
	c.Add(1, 2)
	h.Remove(0, 1)
	if h.Pieces() != 0 || c.Pieces() != 2 || !c.Has(0, 0) || h.Has(1, 1) {
		t.Errorf("clone shares with its origin: %d and %d pieces", h.Pieces(), c.Pieces())
	}
}

func TestPartialStops(t *testing.T) {
	h := manifest.NewHoldings(3 * block)
	h.Add(0, 1)
	h.Add(2, 1)
	seen := 0
	for range h.Partial() {
		seen++
		break
	}
	if seen != 1 {
		t.Errorf("saw %d blocks after a break", seen)
	}
}

func TestBitmap(t *testing.T) {
	h := manifest.NewHoldings(9*block + 1)
	h.Add(0, h.FullMask(0))
	h.Add(3, 5) // partial: no bit
	h.Add(8, h.FullMask(8))
	h.Add(9, 1) // the last block has one piece
	want := []byte{0x01, 0x03}
	if got := h.Bitmap(); !bytes.Equal(got, want) {
		t.Fatalf("Bitmap = %x, want %x", got, want)
	}
	got := manifest.NewHoldings(9*block + 1)
	if err := got.SetBitmap(want); err != nil {
		t.Fatal(err)
	}
	if got.Bytes() != 2*block+1 || !got.Full(9) || got.Mask(3) != 0 {
		t.Errorf("holdings from the bitmap: %d bytes", got.Bytes())
	}
}

func TestSetBitmapRefusals(t *testing.T) {
	for _, tc := range []struct {
		name   string
		size   int64
		bitmap []byte
	}{
		{"missing", block, nil},
		{"short", 9 * block, []byte{0xff}},
		{"long", 8 * block, []byte{0xff, 0}},
		{"bit beyond", 9 * block, []byte{0, 2}},
		{"bits beyond one block", 1, []byte{0xff}},
		{"of an empty video", 0, []byte{0}},
	} {
		h := manifest.NewHoldings(tc.size)
		if err := h.SetBitmap(tc.bitmap); err == nil || h.Pieces() != 0 {
			t.Errorf("%s: error %v, %d pieces held", tc.name, err, h.Pieces())
		}
	}
}

func FuzzBitmap(f *testing.F) {
	f.Add(int64(0), []byte{})
	f.Add(int64(1), []byte{1})
	f.Add(int64(8*block), []byte{0xa5})
	f.Add(int64(9*block+1), []byte{0xff, 0x03})
	f.Add(int64(9*block), []byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, size int64, bitmap []byte) {
		size &= 1<<40 - 1
		h := manifest.NewHoldings(size)
		blocks := h.NumBlocks()
		ones, beyond := 0, len(bitmap) != (blocks+7)/8
		for i := range len(bitmap) * 8 {
			if bitmap[i/8]>>(i%8)&1 != 0 {
				ones++
				beyond = beyond || i >= blocks
			}
		}
		if err := h.SetBitmap(bitmap); (err != nil) != beyond {
			t.Fatalf("%d blocks, bitmap %x: error %v", blocks, bitmap, err)
		} else if err != nil {
			if h.Pieces() != 0 {
				t.Fatalf("a refused bitmap left %d pieces", h.Pieces())
			}
			return
		}
		if got := h.Bitmap(); !bytes.Equal(got, bitmap) {
			t.Fatalf("Bitmap = %x, want %x", got, bitmap)
		}
		if (ones == blocks) != h.Complete() || (h.Complete() && h.Bytes() != size) {
			t.Fatalf("%d of %d blocks: complete %v, %d bytes", ones, blocks, h.Complete(), h.Bytes())
		}
	})
}
