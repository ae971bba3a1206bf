// Package manifest hides what a video is: the cut into blocks and pieces, the
// names (CIDs) that follow from the bytes, the canonical list of blocks, and
// the proofs that tie one piece to its block.
//
// Everything here is pure: no file, no network, no clock. A video is named by
// the CID of its manifest, and the manifest speaks of content only, so two
// nodes that hold the same bytes give them the same name.
package manifest

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
)

const (
	// BlockSize is the length in bytes of every block but a video's last.
	BlockSize = 1 << 25
	// PieceSize is the length in bytes of every piece but a block's last.
	PieceSize = 1 << 20
	// PiecesPerBlock is the number of pieces in a full block.
	PiecesPerBlock = BlockSize / PieceSize
	// MaxLinks is the most links that one manifest node may list. A video of
	// more blocks (over 512 GiB) is a tree of nodes.
	MaxLinks = 16384
	// MaxVideoSize is the longest video in bytes that this version accepts
	// (64 TiB). It bounds what a hostile manifest can make a node remember.
	MaxVideoSize = 1 << 46
)

var (
	// ErrCorrupt is returned when bytes do not match the name or the proof
	// that they came with.
	ErrCorrupt = errors.New("content does not match its hash")
	// ErrMalformed is returned for a manifest node that is not canonical, not
	// consistent, or over a limit.
	ErrMalformed = errors.New("malformed manifest")
)

// Manifest is what one video consists of: its size and its blocks in order.
// It is immutable and safe for concurrent use.
type Manifest struct {
	root   cid.Cid
	size   int64
	blocks []Digest
}

// Block is one block of a video.
type Block struct {
	Index  int    // position in the video, from 0
	Digest Digest // BLAKE3-256 of its bytes
	Offset int64  // of its first byte in the video
	Len    int64  // in bytes
}

// CID is the block's name.
func (b Block) CID() cid.Cid { return BlockCID(b.Digest) }

// New returns the manifest of a video of size bytes whose blocks have these
// digests, in order. It keeps the slice.
func New(size int64, blocks []Digest) (*Manifest, error) {
	if size < 0 || size > MaxVideoSize {
		return nil, fmt.Errorf("%w: size %d is outside 0 to %d", ErrMalformed, size, int64(MaxVideoSize))
	}
	if want := NumBlocks(size); len(blocks) != want {
		return nil, fmt.Errorf("%w: %d blocks for %d bytes, want %d", ErrMalformed, len(blocks), size, want)
	}
	m := &Manifest{size: size, blocks: blocks}
	for node, err := range m.Nodes() {
		if err != nil {
			return nil, err
		}
		m.root = node.CID // the root comes last
	}
	return m, nil
}

// CID is the video's name: the CID of the manifest's root node.
func (m *Manifest) CID() cid.Cid { return m.root }

// Size is the video's length in bytes.
func (m *Manifest) Size() int64 { return m.size }

// NumBlocks is the number of blocks; 0 for an empty video.
func (m *Manifest) NumBlocks() int { return len(m.blocks) }

// Block returns block i, from 0 to NumBlocks()-1.
func (m *Manifest) Block(i int) Block {
	return Block{Index: i, Digest: m.blocks[i], Offset: int64(i) * BlockSize, Len: BlockLen(m.size, i)}
}

// NumBlocks is the number of blocks in a video of size bytes, 0 to
// MaxVideoSize.
func NumBlocks(size int64) int {
	return int((size + BlockSize - 1) / BlockSize)
}

// BlockLen is the length in bytes of block i of a video of size bytes.
func BlockLen(size int64, i int) int64 {
	return min(BlockSize, size-int64(i)*BlockSize)
}

// NumPieces is the number of pieces in a block of blockLen bytes.
func NumPieces(blockLen int64) int {
	return int((blockLen + PieceSize - 1) / PieceSize)
}

// PieceLen is the length in bytes of a piece of a block of blockLen bytes.
func PieceLen(blockLen int64, piece int) int {
	return int(min(PieceSize, blockLen-int64(piece)*PieceSize))
}
