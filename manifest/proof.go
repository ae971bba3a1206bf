package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"lukechampine.com/blake3/guts"
)

const (
	parentBytes = 64 // two chaining values
	// MaxProofBytes is the longest proof: five tree nodes, for a full block.
	MaxProofBytes = 5 * parentBytes

	chunksPerPiece = PieceSize / guts.ChunkSize
	groupBytes     = guts.MaxSIMD * guts.ChunkSize
)

// Outboard is the BLAKE3 tree of one block above its pieces: the parent nodes
// in pre-order, 64 bytes each, one fewer than there are pieces. Proofs are cut
// from it. A node fetching a block fills it in as proofs arrive. Its methods
// need one of OutboardLen(blockLen) bytes and a piece that the block has.
type Outboard []byte

// NewOutboard returns an empty outboard for a block of blockLen bytes.
func NewOutboard(blockLen int64) Outboard {
	return make(Outboard, OutboardLen(blockLen))
}

// OutboardLen is the length in bytes of the outboard of such a block.
func OutboardLen(blockLen int64) int {
	return max(0, NumPieces(blockLen)-1) * parentBytes
}

// ProofLen is the length in bytes of the proof of a piece of such a block.
func ProofLen(blockLen int64, piece int) int {
	n := 0
	for range path(NumPieces(blockLen), piece) {
		n += parentBytes
	}
	return n
}

// AppendProof appends to dst the proof of a piece: the parent nodes from the
// block's root down to it.
func (o Outboard) AppendProof(dst []byte, blockLen int64, piece int) []byte {
	for at := range path(NumPieces(blockLen), piece) {
		dst = append(dst, o[at*parentBytes:(at+1)*parentBytes]...)
	}
	return dst
}

// Fill puts the nodes of a proof that CheckPiece accepted in their places, so
// that the piece can be served on.
func (o Outboard) Fill(blockLen int64, piece int, proof []byte) {
	for at := range path(NumPieces(blockLen), piece) {
		copy(o[at*parentBytes:(at+1)*parentBytes], proof)
		proof = proof[parentBytes:]
	}
}

// path yields the pre-order positions of the parent nodes from the root to a
// piece, and whether the piece lies in the right half below each.
func path(pieces, piece int) func(yield func(at int, right bool) bool) {
	return func(yield func(int, bool) bool) {
		at := 0
		for pieces > 1 {
			left := leftHalf(pieces)
			right := piece >= left
			if !yield(at, right) {
				return
			}
			if right {
				at, piece, pieces = at+left, piece-left, pieces-left
			} else {
				at, pieces = at+1, left
			}
		}
	}
}

// leftHalf is how many of n pieces BLAKE3 puts under the left child: the
// largest power of two below n.
func leftHalf(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// CheckPiece verifies, against nothing but the block's digest, that data is
// the given piece of a block of blockLen bytes. Any other outcome is
// ErrCorrupt. It allocates nothing. The length is the manifest's: what a peer
// says of lengths is not asked, and only the last piece bears it out.
func CheckPiece(block Digest, blockLen int64, piece int, data, proof []byte) error {
	if blockLen > BlockSize || piece < 0 || piece >= NumPieces(blockLen) {
		return fmt.Errorf("%w: no piece %d in a block of %d bytes", ErrCorrupt, piece, blockLen)
	}
	if len(data) != PieceLen(blockLen, piece) || len(proof) != ProofLen(blockLen, piece) {
		return fmt.Errorf("%w: piece of %d bytes with a proof of %d", ErrCorrupt, len(data), len(proof))
	}
	want, flags := cvFromBytes(block[:]), uint32(guts.FlagRoot)
	for _, right := range path(NumPieces(blockLen), piece) {
		l, r := cvFromBytes(proof), cvFromBytes(proof[DigestSize:])
		if guts.ChainingValue(guts.ParentNode(l, r, &guts.IV, flags)) != want {
			return ErrCorrupt
		}
		want, flags, proof = l, 0, proof[parentBytes:]
		if right {
			want = r
		}
	}
	if pieceCV(data, piece, flags) != want {
		return ErrCorrupt
	}
	return nil
}

// HashBlock reads one block of blockLen bytes, piece by piece through buf
// (PieceSize bytes), and returns its digest and outboard. Input that ends
// early gives io.ErrUnexpectedEOF.
func HashBlock(r io.Reader, blockLen int64, buf []byte) (Digest, Outboard, error) {
	pieces := NumPieces(blockLen)
	if pieces < 1 || pieces > PiecesPerBlock {
		return Digest{}, nil, fmt.Errorf("hash block: %d bytes is not a block", blockLen)
	}
	var cvs [PiecesPerBlock]cv
	flags := uint32(0)
	if pieces == 1 {
		flags = guts.FlagRoot
	}
	for i := range pieces {
		piece := buf[:PieceLen(blockLen, i)]
		if _, err := io.ReadFull(r, piece); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return Digest{}, nil, err
		}
		cvs[i] = pieceCV(piece, i, flags)
	}
	o := NewOutboard(blockLen)
	root := o.build(cvs[:pieces], 0, guts.FlagRoot)
	var d Digest
	cvToBytes(d[:], root)
	return d, o, nil
}

// build writes the parents over cvs from position at on and returns the value
// above them.
func (o Outboard) build(cvs []cv, at int, flags uint32) cv {
	if len(cvs) == 1 {
		return cvs[0]
	}
	left := leftHalf(len(cvs))
	l := o.build(cvs[:left], at+1, 0)
	r := o.build(cvs[left:], at+left, 0)
	cvToBytes(o[at*parentBytes:], l)
	cvToBytes(o[at*parentBytes+DigestSize:], r)
	return guts.ChainingValue(guts.ParentNode(l, r, &guts.IV, flags))
}

type cv = [8]uint32

// pieceCV is the chaining value of a piece at its place in the block's tree.
// It runs on the calling goroutine: blocks are what is hashed in parallel.
func pieceCV(data []byte, piece int, flags uint32) cv {
	counter := uint64(piece) * chunksPerPiece
	var stack [8]cv // of 2^i groups each; a piece has at most 64 groups
	groups := uint64(0)
	for len(data) > groupBytes {
		value := guts.ChainingValue(guts.CompressBuffer((*[groupBytes]byte)(data), groupBytes, &guts.IV, counter, 0))
		i := 0
		for ; groups&(1<<i) != 0; i++ {
			value = guts.ChainingValue(guts.ParentNode(stack[i], value, &guts.IV, 0))
		}
		stack[i] = value
		groups++
		counter += guts.MaxSIMD
		data = data[groupBytes:]
	}
	top := lastGroup(data, counter)
	for i := range stack {
		if groups&(1<<i) != 0 {
			top = guts.ParentNode(stack[i], guts.ChainingValue(top), &guts.IV, 0)
		}
	}
	top.Flags |= flags
	return guts.ChainingValue(top)
}

func lastGroup(data []byte, counter uint64) guts.Node {
	if len(data) == groupBytes {
		return guts.CompressBuffer((*[groupBytes]byte)(data), groupBytes, &guts.IV, counter, 0)
	}
	var group [groupBytes]byte
	return guts.CompressBuffer(&group, copy(group[:], data), &guts.IV, counter, 0)
}

func cvFromBytes(b []byte) (v cv) {
	for i := range v {
		v[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return v
}

func cvToBytes(b []byte, v cv) {
	for i, w := range v {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
}
