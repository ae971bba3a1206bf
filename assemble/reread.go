package assemble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/manifest"
)

// maxRereaders is how many blocks Reread reads at a time.
const maxRereaders = 4

// Reread reads every byte that is held back from the disk, past the page cache
// where the system can do that, and checks it against its block. It flushes
// what was written before. Pieces that are wrong or cannot be read are given
// up, and a receipt says so: they are missing again, Finish returns
// ErrIncomplete, and a fetch brings them anew. lost is their bytes. In a file
// that has its final name already nothing can be given up: manifest.ErrCorrupt.
//
// For every piece that was right, progress, if not nil, is called with its
// bytes, from several goroutines. Pieces may be Put meanwhile; those are not
// read. Reread takes as long as reading the video takes, and ends early with
// ctx.
func (f *File) Reread(ctx context.Context, progress func(n int64)) (lost int64, err error) {
	if err := f.settled(); err != nil {
		return 0, fmt.Errorf("read back %s: %w", f.video.CID(), explain(err, f.target.Dir))
	}
	lost, err = f.reread(ctx, progress)
	if err == nil && lost > 0 {
		err = f.checkpoint()
	}
	if err != nil {
		return lost, fmt.Errorf("read back %s: %w", f.video.CID(), explain(err, f.target.Dir))
	}
	return lost, nil
}

// settled commits a receipt for what was written so far.
func (f *File) settled() error {
	f.steps.Lock()
	defer f.steps.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	return f.commit()
}

func (f *File) reread(ctx context.Context, progress func(n int64)) (int64, error) {
	file, direct, err := f.openReread()
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if progress == nil {
		progress = func(int64) {}
	}
	held, _ := f.Holdings()
	r := &rereader{f: f, file: file, direct: direct, held: held, progress: progress}
	g, ctx := errgroup.WithContext(ctx)
	for range min(maxRereaders, runtime.GOMAXPROCS(0)) {
		g.Go(func() error { return r.run(ctx) })
	}
	err = g.Wait()
	return r.lost.Load(), err
}

// openReread opens the file once more, so that reading it does not depend on
// who closes f, and tells whether it is read past the page cache.
func (f *File) openReread() (file *os.File, direct bool, err error) {
	path := f.partPath
	if f.reached() != fetching {
		path = f.Path()
	}
	file, direct, err = openPastCache(path)
	if err != nil || f.part == nil {
		return file, direct, err
	}
	if err := sameFile(f.part, file); err != nil {
		return nil, false, errors.Join(err, file.Close())
	}
	return file, direct, nil
}

// rereader is one Reread. Its workers take blocks in order.
type rereader struct {
	f        *File
	file     *os.File
	direct   bool               // file is read past the page cache
	held     *manifest.Holdings // when Reread began
	progress func(n int64)
	next     atomic.Int64 // block
	lost     atomic.Int64 // bytes
}

func (r *rereader) run(ctx context.Context) error {
	buf := alignedBuffer(manifest.PieceSize)
	for {
		block := int(r.next.Add(1) - 1)
		if block >= r.held.NumBlocks() {
			return nil
		}
		if err := r.block(ctx, r.f.video.Block(block), buf); err != nil {
			return err
		}
	}
}

// block checks the pieces of a block that are held.
func (r *rereader) block(ctx context.Context, b manifest.Block, buf []byte) error {
	mask := r.held.Mask(b.Index)
	if mask == 0 {
		return nil
	}
	nodes, err := r.f.outboard(b)
	if err != nil {
		return err
	}
	for piece := range eachPiece(mask) {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := r.piece(b, piece, nodes, buf)
		if err == nil {
			r.progress(int64(manifest.PieceLen(b.Len, piece)))
			continue
		}
		if err := r.giveUp(b, piece, err); err != nil {
			return err
		}
	}
	return nil
}

// piece reads and checks one piece.
func (r *rereader) piece(b manifest.Block, piece int, nodes manifest.Outboard, buf []byte) error {
	data := buf[:manifest.PieceLen(b.Len, piece)]
	if err := r.read(data, buf, b.Offset+int64(piece)*manifest.PieceSize); err != nil {
		return err
	}
	return manifest.CheckPiece(b.Digest, b.Len, piece, data, nodes.AppendProof(nil, b.Len, piece))
}

// read fills data, the beginning of buf, from the disk.
func (r *rereader) read(data, buf []byte, offset int64) error {
	whole := data
	if r.direct {
		whole = buf[:(len(data)+directAlign-1)/directAlign*directAlign]
	} else {
		dropCached(r.file, offset, int64(len(data)))
	}
	n, err := r.file.ReadAt(whole, offset)
	if n >= len(data) {
		return nil
	}
	return err
}

// giveUp takes back a piece that is wrong, or that the disk does not give back.
// Other errors, and a file that is finished, end the reading.
func (r *rereader) giveUp(b manifest.Block, piece int, why error) error {
	wrong := errors.Is(why, manifest.ErrCorrupt) || errors.Is(why, syscall.EIO) || errors.Is(why, io.EOF)
	if !wrong || r.f.reached() != fetching {
		return fmt.Errorf("piece %d of block %d in %s: %w", piece, b.Index, r.file.Name(), why)
	}
	r.f.cfg.Logger.Warn("piece is wrong on disk", "video", r.f.video.CID(), "block", b.Index, "piece", piece, "err", why)
	r.lost.Add(int64(manifest.PieceLen(b.Len, piece)))
	return r.f.discount(b.Index, piece)
}

// outboard is the proof tree of a block of which pieces are held.
func (f *File) outboard(b manifest.Block) (manifest.Outboard, error) {
	if f.reached() == recorded {
		return f.store.Outboard(b.Digest)
	}
	t, err := f.trees.acquire(b.Index)
	if err != nil {
		return nil, err
	}
	defer f.trees.release(t)
	return f.trees.snapshot(t), nil
}
