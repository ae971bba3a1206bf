package assemble

import (
	"io"
	"os"
	"sync"

	"github.com/vidsync/vidsync/manifest"
)

// share has the system bring a block of which nothing is here, and counts the
// pieces that turn out to be right. Nobody else writes the block meanwhile.
// Where the system cannot, nothing happens.
func (l *filler) share(b manifest.Block, src *os.File, offset int64, nodes manifest.Outboard) error {
	c := l.f.claimBlock(b.Index)
	if c == nil {
		return nil
	}
	defer l.f.giveUp(c)
	if hasHole(src, offset, b.Len) {
		return nil // holes would come too and take away space that the part file has
	}
	if l.f.copyInKernel(b, src, offset) != nil {
		return nil
	}
	var right uint32
	for piece := range manifest.NumPieces(b.Len) {
		data := l.buf[:manifest.PieceLen(b.Len, piece)]
		if _, err := l.f.part.ReadAt(data, b.Offset+int64(piece)*manifest.PieceSize); err != nil {
			continue // a bad spot on the disk that both files share
		}
		l.proof = nodes.AppendProof(l.proof[:0], b.Len, piece)
		if manifest.CheckPiece(b.Digest, b.Len, piece, data, l.proof) == nil {
			right |= 1 << piece
		}
	}
	return l.count(b, right, nodes)
}

// copyInKernel brings a block from offset of src. On ext4, copying inside the
// kernel and then reading what came of it costs twice the processor time of
// reading, checking and writing directly, so that is only for file systems
// that refuse direct writes.
func (f *File) copyInKernel(b manifest.Block, src *os.File, offset int64) error {
	err := f.disk.Share(f.part, b.Offset, src, offset, b.Len)
	if err != nil && (f.direct == nil || f.noDirect.Load()) {
		err = f.disk.Copy(f.part, b.Offset, src, offset, b.Len)
	}
	return err
}

// hole counts a block of zeros if the part file has a hole there.
func (l *filler) hole(b manifest.Block, nodes manifest.Outboard) error {
	c := l.f.claimBlock(b.Index)
	if c == nil {
		return nil
	}
	defer l.f.giveUp(c)
	if !isHole(l.f.part, b.Offset, b.Len) {
		return nil
	}
	return l.count(b, c.mask, nodes)
}

// count takes over pieces that are in the part file.
func (l *filler) count(b manifest.Block, mask uint32, nodes manifest.Outboard) error {
	if mask == 0 {
		return nil
	}
	t, err := l.f.trees.acquire(b.Index)
	if err != nil {
		return err
	}
	for piece := range eachPiece(mask) {
		l.proof = nodes.AppendProof(l.proof[:0], b.Len, piece)
		l.f.trees.fill(t, b.Len, piece, l.proof)
		l.progress(int64(manifest.PieceLen(b.Len, piece)))
	}
	return l.f.count(t, mask)
}

// zeroDigest is the digest of the full block of zeros. A part file reads as zeros
// where nothing was written, so such a block costs no writing. It stands here so
// that a fetch of a video without such blocks need not wait for 32 MiB to be
// hashed.
var zeroDigest = manifest.Digest{
	0x2d, 0xbe, 0x08, 0x3a, 0x48, 0xe7, 0x43, 0x07, 0x72, 0xc9, 0x80, 0x3d, 0x47, 0x45, 0x23, 0xa5,
	0x3b, 0x7c, 0x8a, 0xad, 0x5c, 0x7d, 0xaa, 0xba, 0x0a, 0x55, 0xb6, 0xf8, 0x92, 0xa9, 0x80, 0x74,
}

// zeroNodes is the tree of that block.
var zeroNodes = sync.OnceValue(func() manifest.Outboard {
	all := io.NewSectionReader(zeros{}, 0, manifest.BlockSize)
	d, nodes, err := manifest.HashBlock(all, manifest.BlockSize, make([]byte, manifest.PieceSize))
	if err != nil {
		panic("assemble: internal error: hash zeros: " + err.Error())
	}
	if d != zeroDigest {
		panic("assemble: internal error: zeros have the digest " + d.String())
	}
	return nodes
})

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}
