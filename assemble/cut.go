package assemble

import (
	"fmt"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// maxDiscounted is how many blocks that lost pieces are kept in memory before a
// receipt says so.
const maxDiscounted = 1024

// trust holds the pieces of a receipt that the part file still has, which had
// size bytes before. For the
// others there is a receipt without them before their space is taken again:
// then a reader could make them look written.
func (f *File) trust(r *blockstore.Receipt, size int64) error {
	for block, mask := range r.Masks {
		if block < 0 || block >= f.video.NumBlocks() {
			return fmt.Errorf("receipt of %s speaks of block %d of %d", f.video.CID(), block, f.video.NumBlocks())
		}
		kept := f.written(block, inside(f.video.Block(block), mask, size))
		f.held.Add(block, kept)
		if kept == mask {
			continue
		}
		t, err := f.trees.acquire(block)
		if err != nil {
			return err
		}
		f.unreceipted[block] = t
		if len(f.unreceipted) < maxDiscounted {
			continue
		}
		if err := f.commit(); err != nil {
			return err
		}
	}
	return f.commit()
}

// inside returns those of a block's pieces that end within size bytes.
func inside(b manifest.Block, mask uint32, size int64) uint32 {
	if b.Offset+b.Len <= size {
		return mask
	}
	for piece := range eachPiece(mask) {
		if b.Offset+int64(piece)*manifest.PieceSize+int64(manifest.PieceLen(b.Len, piece)) > size {
			mask &^= 1 << piece
		}
	}
	return mask
}

// written returns those of a block's pieces that have no hole: a hole is where
// the part file was cut since the receipt. Only in blocks of zeros are holes as
// they should be.
func (f *File) written(block int, mask uint32) uint32 {
	b := f.video.Block(block)
	if b.Digest == zeroDigest || !hasHole(f.part, b.Offset, b.Len) {
		return mask
	}
	for piece := range eachPiece(mask) {
		if hasHole(f.part, b.Offset+int64(piece)*manifest.PieceSize, int64(manifest.PieceLen(b.Len, piece))) {
			mask &^= 1 << piece
		}
	}
	return mask
}

// noteSpace remembers how much disk the part file has. What a File does to it
// takes none away.
func (f *File) noteSpace() error {
	info, err := f.part.Stat()
	if err != nil {
		return err
	}
	f.space = min(allocated(info), f.video.Size())
	return nil
}

// checkUncut returns ErrPartLost if the part file lost bytes, even if it has
// its size again.
func (f *File) checkUncut() error {
	info, err := f.part.Stat()
	if err != nil {
		return err
	}
	if info.Size() != f.video.Size() || allocated(info) < f.space {
		return fmt.Errorf("%w: %s was cut", ErrPartLost, f.partPath)
	}
	return nil
}
