package assemble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// errSource marks what is wrong with a source and not with the part file.
var errSource = errors.New("source")

// FillLocal fills in the blocks that this node has in other files, or in this
// one, and blocks of zeros, so that they need not be fetched. A source shares
// its disk space with the part file where the file system can do that, and is
// copied otherwise. Every piece is checked before it counts; a source that
// changed or does not match is passed over. Pieces may be Put meanwhile. For
// every piece that is new, progress, if not nil, is called with its bytes. It
// returns early when ctx ends, or when writing fails as in Put.
func (f *File) FillLocal(ctx context.Context, progress func(n int64)) error {
	all := make([]int, f.video.NumBlocks())
	for i := range all {
		all[i] = i
	}
	return newFiller(f, progress).fill(ctx, all)
}

// filler fills blocks from sources on this node, one at a time.
type filler struct {
	f        *File
	progress func(n int64)
	buf      []byte // one piece
	proof    []byte
}

func newFiller(f *File, progress func(n int64)) *filler {
	if progress == nil {
		progress = func(int64) {}
	}
	return &filler{f: f, progress: progress, buf: alignedBuffer(manifest.PieceSize)}
}

// fill fills what is missing of these blocks, as far as there are sources.
func (l *filler) fill(ctx context.Context, blocks []int) error {
	for _, i := range blocks {
		if err := ctx.Err(); err != nil {
			return err
		}
		if l.f.full(i) {
			continue
		}
		if err := l.fillBlock(ctx, l.f.video.Block(i)); err != nil {
			return fmt.Errorf("fill block %d of %s: %w", i, l.f.video.CID(), err)
		}
	}
	return nil
}

// fillBlock tries the sources of a block, the nearest first.
func (l *filler) fillBlock(ctx context.Context, b manifest.Block) error {
	if b.Digest == zeroDigest {
		return l.fromZeros(ctx, b, zeroNodes())
	}
	if err := l.fromSelf(ctx, b); err != nil || l.f.full(b.Index) {
		return err
	}
	places, err := l.f.store.Places(b.Digest)
	if err != nil || len(places) == 0 {
		return err
	}
	nodes, err := l.f.store.Outboard(b.Digest)
	if err != nil || len(nodes) != manifest.OutboardLen(b.Len) {
		return err
	}
	for _, p := range places {
		if err := l.fromPlace(ctx, b, p, nodes); err != nil || l.f.full(b.Index) {
			return err
		}
	}
	return nil
}

// fromZeros counts a hole in the part file without reading it, and writes zeros
// elsewhere.
func (l *filler) fromZeros(ctx context.Context, b manifest.Block, nodes manifest.Outboard) error {
	if err := l.hole(b, nodes); err != nil {
		return err
	}
	return l.pieces(ctx, b, zeros{}, nodes)
}

// fromSelf copies the block from where the video has it as well.
func (l *filler) fromSelf(ctx context.Context, b manifest.Block) error {
	r := l.f.repeats[b.Digest]
	if r == nil {
		return nil
	}
	i := slices.IndexFunc(r.at, l.f.full)
	if i < 0 {
		return nil
	}
	twin := l.f.video.Block(r.at[i])
	t, err := l.f.trees.acquire(twin.Index)
	if err != nil {
		return err
	}
	nodes := l.f.trees.snapshot(t)
	l.f.trees.release(t)
	return l.from(ctx, b, l.f.part, twin.Offset, nodes)
}

// fromPlace copies the block from another file.
func (l *filler) fromPlace(ctx context.Context, b manifest.Block, p blockstore.Place, nodes manifest.Outboard) error {
	file, err := os.OpenFile(p.Path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		l.passOver(b, p.Path, err)
		return nil
	}
	defer file.Close()
	if stamp, err := stampOf(file); err != nil || stamp != p.Stamp {
		l.passOver(b, p.Path, errors.Join(err, blockstore.ErrChanged))
		return nil
	}
	return l.from(ctx, b, file, p.Offset, nodes)
}

// from fills what is missing of a block from a file that has it at offset. A
// file that turns out not to have it is passed over.
func (l *filler) from(ctx context.Context, b manifest.Block, file *os.File, offset int64, nodes manifest.Outboard) error {
	err := l.share(b, file, offset, nodes)
	if err == nil {
		err = l.pieces(ctx, b, io.NewSectionReader(file, offset, b.Len), nodes)
	}
	if errors.Is(err, errSource) {
		l.passOver(b, file.Name(), err)
		return nil
	}
	return err
}

func (l *filler) passOver(b manifest.Block, path string, err error) {
	l.f.cfg.Logger.Info("local source passed over", "block", b.Digest, "path", path, "err", err)
}

// pieces reads, checks and writes what is missing of a block.
func (l *filler) pieces(ctx context.Context, b manifest.Block, src io.ReaderAt, nodes manifest.Outboard) error {
	for piece := range manifest.NumPieces(b.Len) {
		if l.f.has(b.Index, piece) {
			continue
		}
		data := l.buf[:manifest.PieceLen(b.Len, piece)]
		if _, err := src.ReadAt(data, int64(piece)*manifest.PieceSize); err != nil {
			return fmt.Errorf("%w: %w", errSource, err)
		}
		l.proof = nodes.AppendProof(l.proof[:0], b.Len, piece)
		added, err := l.f.put(ctx, b.Index, piece, data, l.proof)
		if errors.Is(err, manifest.ErrCorrupt) {
			return fmt.Errorf("%w: %w", errSource, err)
		}
		if err != nil {
			return err
		}
		if added {
			l.progress(int64(len(data)))
		}
	}
	return nil
}
