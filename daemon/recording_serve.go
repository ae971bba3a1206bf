package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

// node is the manifest node that path leads to.
func (v *version) node(path []int) ([]byte, error) {
	v.of.mu.Lock()
	m := v.manifest
	v.of.mu.Unlock()
	if m == nil {
		return nil, fmt.Errorf("manifest of an old version: %w", fs.ErrNotExist)
	}
	want := m.CID()
	for depth := 0; ; depth++ {
		data, err := nodeData(m, want.String())
		if err != nil || depth == len(path) {
			return data, err
		}
		if want, err = manifest.Child(data, path[depth]); err != nil {
			return nil, err
		}
	}
}

func nodeData(m *manifest.Manifest, name string) ([]byte, error) {
	for n, err := range m.Nodes() {
		if err != nil {
			return nil, err
		}
		if n.CID.String() == name {
			return n.Data, nil
		}
	}
	return nil, fmt.Errorf("manifest node %s: %w", name, fs.ErrNotExist)
}

// holdings are the pieces whose blocks are still as the version lists them, and
// a channel that is closed when it may be fewer.
func (v *version) holdings() (*manifest.Holdings, <-chan struct{}) {
	r := v.of
	r.mu.Lock()
	defer r.mu.Unlock()
	have := manifest.NewHoldings(v.size)
	for i := range have.NumBlocks() {
		if r.holds(v, i) {
			have.Add(i, have.FullMask(i))
		}
	}
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return have, r.changed
}

// holds tells whether a block is still as a version lists it. The caller holds mu.
func (r *recording) holds(v *version, block int) bool {
	if block >= len(r.blocks) {
		return false
	}
	b := &r.blocks[block]
	return !b.spoiled && b.since != 0 && b.since <= v.number && b.len == manifest.BlockLen(v.size, block)
}

// piece reads one piece and its proof. It is checked: the file is being written.
func (v *version) piece(ctx context.Context, block, piece int, buf, proof []byte) ([]byte, []byte, error) {
	r := v.of
	r.mu.Lock()
	var b recordedBlock
	held := r.holds(v, block)
	if held {
		b = r.blocks[block]
	}
	r.mu.Unlock()
	if !held || piece < 0 || piece >= manifest.NumPieces(b.len) {
		return nil, nil, fmt.Errorf("piece %d of block %d of %s: %w", piece, block, v.video, protocol.ErrChanged)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	f, _, err := r.open()
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	data := buf[:manifest.PieceLen(b.len, piece)]
	_, err = f.ReadAt(data, int64(block)*manifest.BlockSize+int64(piece)*manifest.PieceSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	proof = b.outboard.AppendProof(proof[:0], b.len, piece)
	if manifest.CheckPiece(b.digest, b.len, piece, data, proof) != nil {
		r.spoil(block, b.digest)
		return nil, nil, fmt.Errorf("block %d of %s was written anew: %w", block, f.Name(), protocol.ErrChanged)
	}
	return data, proof, nil
}

// spoil notes that the file has other bytes now than the block of that digest.
func (r *recording) spoil(block int, digest manifest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if block >= len(r.blocks) || r.blocks[block].digest != digest {
		return // hashed anew already
	}
	r.blocks[block].spoiled = true
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}
