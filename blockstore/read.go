package blockstore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/vidsync/vidsync/manifest"
)

// maxReads is how many places of a block are read for one piece before the
// read fails. Places whose file changed or is gone do not count.
const maxReads = 16

// CorruptError says which bytes of a file are not what was added, though the
// file looks unchanged. It wraps manifest.ErrCorrupt.
type CorruptError struct {
	Path   string
	Offset int64 // of the first byte of the piece
	Length int64 // of the piece in bytes
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s: bytes %d to %d: %v", e.Path, e.Offset, e.Offset+e.Length-1, manifest.ErrCorrupt)
}

// Unwrap returns manifest.ErrCorrupt.
func (e *CorruptError) Unwrap() error { return manifest.ErrCorrupt }

// ReadPiece reads a piece of a block of blockLen bytes into buf, which must
// have room for it, and checks it. It returns the piece, which is the start of
// buf, and its proof, appended to proof[:0]. Places are tried in turn.
//
// Without a usable place the error tells why: a *CorruptError if the bytes of
// an unchanged file do not match, else an error wrapping ErrChanged if a file
// changed, else one wrapping fs.ErrNotExist. Such an error leaves buf undefined.
func (s *Store) ReadPiece(ctx context.Context, block manifest.Digest, blockLen int64, piece int, buf, proof []byte) (data, proofOut []byte, err error) {
	return s.read(ctx, request{block, blockLen, piece, true}, buf, proof)
}

// LoadPiece is ReadPiece without checking the bytes, for serving a receiver who
// checks them anyway. Files are still looked at before bytes count.
func (s *Store) LoadPiece(ctx context.Context, block manifest.Digest, blockLen int64, piece int, buf, proof []byte) (data, proofOut []byte, err error) {
	return s.read(ctx, request{block, blockLen, piece, false}, buf, proof)
}

// request is what a caller wants to read.
type request struct {
	block    manifest.Digest
	blockLen int64
	piece    int
	check    bool
}

func (s *Store) read(ctx context.Context, r request, buf, proof []byte) ([]byte, []byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if r.blockLen < 1 || r.blockLen > manifest.BlockSize || r.piece < 0 || r.piece >= manifest.NumPieces(r.blockLen) {
		return nil, nil, fmt.Errorf("no piece %d in a block of %d bytes", r.piece, r.blockLen)
	}
	n := manifest.PieceLen(r.blockLen, r.piece)
	if len(buf) < n {
		return nil, nil, fmt.Errorf("buffer of %d bytes for a piece of %d", len(buf), n)
	}
	buf = buf[:n]
	if b, ok := s.blocks.get(r.block); ok {
		if proof, err := s.readAt(r, b, File{}, buf, proof); err == nil {
			return buf, proof, nil
		}
	}
	proof, err := s.readAny(ctx, r, buf, proof)
	if err != nil {
		return nil, nil, fmt.Errorf("read piece %d of block %s: %w", r.piece, r.block, err)
	}
	return buf, proof, nil
}

var errNotOpen = errors.New("file is not open")

// readAt reads the piece from one place. With no file given it reads only from
// one that is open.
func (s *Store) readAt(r request, b resolved, f File, buf, proof []byte) ([]byte, error) {
	if len(b.outboard) != manifest.OutboardLen(r.blockLen) {
		return nil, fmt.Errorf("block is not of %d bytes", r.blockLen)
	}
	h := s.handles.get(b.at.file)
	if h == nil {
		if f.Path == "" {
			return nil, errNotOpen
		}
		var err error
		if h, err = s.handles.open(b.at.file, f); err != nil {
			return nil, err
		}
	}
	defer s.handles.release(h)
	offset := b.at.offset + int64(r.piece)*manifest.PieceSize
	_, readErr := h.file.ReadAt(buf, offset)
	if err := h.unchanged(); err != nil {
		s.handles.drop(b.at.file)
		return nil, err
	}
	if readErr != nil && !errors.Is(readErr, io.EOF) {
		return nil, readErr
	}
	proof = b.outboard.AppendProof(proof[:0], r.blockLen, r.piece)
	if readErr != nil || r.check && manifest.CheckPiece(r.block, r.blockLen, r.piece, buf, proof) != nil {
		return nil, &CorruptError{Path: h.path, Offset: offset, Length: int64(len(buf))}
	}
	return proof, nil
}

// readAny tries every place that the index knows.
func (s *Store) readAny(ctx context.Context, r request, buf, proof []byte) ([]byte, error) {
	var failed attempts
	for c, err := range s.candidates(r.block) {
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out, err := s.readAt(r, c.resolved, c.file, buf, proof)
		if err == nil {
			s.blocks.put(c.resolved, c.generation)
			failed.warn(s, c.file.Path)
			return out, nil
		}
		if failed.add(err); failed.reads == maxReads {
			break
		}
	}
	return nil, failed.worst()
}
