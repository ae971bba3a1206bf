package assemble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/vidsync/vidsync/manifest"
)

// ReadPiece reads a piece that is held, with its proof, so that it can be
// served while others are missing: fs.ErrNotExist for those. The piece is in
// data, a part of buf, which must have room for it; the proof is appended to
// proof[:0]. The bytes are checked: those that no longer match are not held any
// more, and the error is manifest.ErrCorrupt.
func (f *File) ReadPiece(ctx context.Context, block, piece int, buf, proof []byte) (data, proofOut []byte, err error) {
	if block < 0 || block >= f.video.NumBlocks() || !f.has(block, piece) {
		return nil, nil, fmt.Errorf("piece %d of block %d of %s: %w", piece, block, f.video.CID(), fs.ErrNotExist)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	b := f.video.Block(block)
	if f.reached() == recorded {
		return f.store.ReadPiece(ctx, b.Digest, b.Len, piece, buf, proof[:0])
	}
	data, proofOut, err = f.readHeld(b, piece, buf, proof)
	if err != nil {
		err = fmt.Errorf("read piece %d of block %d of %s: %w", piece, block, f.part.Name(), err)
	}
	return data, proofOut, err
}

func (f *File) readHeld(b manifest.Block, piece int, buf, proof []byte) (data, proofOut []byte, err error) {
	n := manifest.PieceLen(b.Len, piece)
	if len(buf) < n {
		return nil, nil, fmt.Errorf("buffer of %d bytes for a piece of %d", len(buf), n)
	}
	t, err := f.trees.acquire(b.Index)
	if err != nil {
		return nil, nil, err
	}
	defer f.trees.release(t)
	data = buf[:n]
	if _, err := f.part.ReadAt(data, b.Offset+int64(piece)*manifest.PieceSize); err != nil {
		return nil, nil, err
	}
	proof = f.trees.appendProof(proof[:0], t, b.Len, piece)
	err = manifest.CheckPiece(b.Digest, b.Len, piece, data, proof)
	if errors.Is(err, manifest.ErrCorrupt) {
		return nil, nil, errors.Join(err, f.discount(b.Index, piece))
	}
	return data, proof, err
}

// discount takes back a piece that turned out to be wrong on disk. The next
// receipt says so too.
func (f *File) discount(block, piece int) error {
	t, err := f.trees.acquire(block)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held.Remove(block, 1<<piece)
	if f.unreceipted[block] != nil {
		f.trees.release(t)
	}
	f.unreceipted[block] = t
	f.announce()
	return nil
}
