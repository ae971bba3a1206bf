package assemble

import (
	"context"
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/vidsync/vidsync/manifest"
)

// directAlign is what direct writes need of the buffer's address and length.
// Every piece's offset has it.
const directAlign = 4096

// pieceID names a piece of the video.
type pieceID struct{ block, piece int }

// claim is the right to write some pieces of a block.
type claim struct {
	block int
	mask  uint32
	done  chan struct{} // closed when the claim is given up
}

// Put checks a piece against its block and writes it at its offset. Bytes that
// do not match never reach the disk: manifest.ErrCorrupt. A piece that is held
// already is not looked at. While another call writes the same piece, Put waits
// for it. Data that is aligned to 4096 bytes in memory is written past the page
// cache where that is possible. Errors: ErrNoSpace, after which the same Put
// may be tried again; ErrPartLost; a DiskError, or what else the system says of
// the part file.
func (f *File) Put(ctx context.Context, block, piece int, data, proof []byte) error {
	_, err := f.put(ctx, block, piece, data, proof)
	return err
}

// put is Put that also tells whether the piece is new.
func (f *File) put(ctx context.Context, block, piece int, data, proof []byte) (bool, error) {
	if block < 0 || block >= f.video.NumBlocks() {
		return false, fmt.Errorf("no block %d in %s of %d blocks", block, f.video.CID(), f.video.NumBlocks())
	}
	if f.has(block, piece) {
		return false, nil
	}
	b := f.video.Block(block)
	if err := manifest.CheckPiece(b.Digest, b.Len, piece, data, proof); err != nil {
		return false, fmt.Errorf("piece %d of block %d of %s: %w", piece, block, f.video.CID(), err)
	}
	c, err := f.claimPiece(ctx, pieceID{block, piece})
	if c == nil || err != nil {
		return false, err
	}
	defer f.giveUp(c)
	if err := f.write(b, piece, data); err != nil {
		return false, err
	}
	t, err := f.trees.acquire(block)
	if err != nil {
		return false, err
	}
	f.trees.fill(t, b.Len, piece, proof)
	return true, f.count(t, 1<<piece)
}

func (f *File) has(block, piece int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return piece >= 0 && piece < manifest.PiecesPerBlock && f.held.Has(block, piece)
}

// claimPiece returns the right to write a piece, nil if it is held by now.
func (f *File) claimPiece(ctx context.Context, id pieceID) (*claim, error) {
	for {
		c, writer, err := f.tryClaim(id)
		if writer == nil {
			return c, err
		}
		select {
		case <-writer.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryClaim returns the claim or, if there is another writer, that one's.
func (f *File) tryClaim(id pieceID) (c, writer *claim, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost != nil {
		return nil, nil, f.lost
	}
	if f.held.Has(id.block, id.piece) {
		return nil, nil, nil
	}
	if writer := f.busy[id]; writer != nil {
		return nil, writer, nil
	}
	return f.claim(id.block, 1<<id.piece), nil, nil
}

// claimBlock returns the right to write a whole block of which nothing is held
// or being written, nil otherwise.
func (f *File) claimBlock(block int) *claim {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost != nil || f.held.Mask(block) != 0 {
		return nil
	}
	full := f.held.FullMask(block)
	for piece := range eachPiece(full) {
		if f.busy[pieceID{block, piece}] != nil {
			return nil
		}
	}
	return f.claim(block, full)
}

// claim marks pieces as being written. f.mu is held.
func (f *File) claim(block int, mask uint32) *claim {
	c := &claim{block: block, mask: mask, done: make(chan struct{})}
	for piece := range eachPiece(mask) {
		f.busy[pieceID{block, piece}] = c
	}
	return c
}

func (f *File) giveUp(c *claim) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for piece := range eachPiece(c.mask) {
		delete(f.busy, pieceID{c.block, piece})
	}
	close(c.done)
}

// write puts verified bytes in their place.
func (f *File) write(b manifest.Block, piece int, data []byte) error {
	offset := b.Offset + int64(piece)*manifest.PieceSize
	if f.direct != nil && !f.noDirect.Load() && aligned(data) {
		err := f.disk.Write(f.direct, data, offset)
		if err == nil || !directRefused(err) {
			return f.writeError(err)
		}
		f.noDirect.Store(true)
	}
	return f.writeError(f.disk.Write(f.part, data, offset))
}

func (f *File) writeError(err error) error {
	if err == nil {
		return nil
	}
	return explain(f.spaceError(err, f.missing()), f.target.Dir)
}

func (f *File) missing() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.video.Size() - f.held.Bytes()
}

// count adds written pieces to what is held and to the next receipt. It takes
// over the caller's use of t.
func (f *File) count(t *tree, mask uint32) error {
	f.mu.Lock()
	before := f.held.Bytes()
	f.held.Add(t.block, mask)
	f.uncovered += f.held.Bytes() - before
	known := f.unreceipted[t.block] != nil
	f.unreceipted[t.block] = t
	f.queueRepeat(t.block)
	f.announce()
	uncovered := f.uncovered
	f.mu.Unlock()

	if known {
		f.trees.release(t) // it is in use once for the receipt
	}
	if uncovered >= backlog*f.cfg.ReceiptBytes {
		return f.checkpoint()
	}
	if uncovered >= f.cfg.ReceiptBytes {
		notify(f.due)
	}
	return nil
}

func aligned(data []byte) bool {
	address := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	return address%directAlign == 0 && len(data)%directAlign == 0
}

// alignedBuffer returns n bytes that can be written directly.
func alignedBuffer(n int) []byte {
	buf := make([]byte, n+directAlign)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(buf)))) & (directAlign - 1)
	return buf[skip : skip+n : skip+n]
}

// eachPiece yields the pieces in mask.
func eachPiece(mask uint32) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for ; mask != 0; mask &= mask - 1 {
			if !yield(bits.TrailingZeros32(mask)) {
				return
			}
		}
	}
}
