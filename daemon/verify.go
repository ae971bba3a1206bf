package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// maxDamage bounds how many bad pieces of one video are listed.
const maxDamage = 10_000

// Verify reads every byte of videos again and holds it against their blocks.
func (n *Node) Verify(ctx context.Context, req api.VerifyRequest, emit func(api.Progress)) (api.VerifyResult, error) {
	result := api.VerifyResult{Videos: []api.Verified{}}
	var done, total atomic.Int64
	if emit != nil {
		m := newMeter()
		defer every(progressEvery, func() { emit(m.progress("checking", done.Load(), total.Load())) })()
	}
	var videos []blockstore.Video
	for _, ref := range req.Refs {
		v, err := n.localVideo(ref)
		if err != nil {
			return result, err
		}
		files, err := n.store.Files(v.CID)
		if err != nil {
			return result, err
		}
		videos = append(videos, v)
		total.Add(v.Size * int64(len(files)))
	}
	for _, v := range videos {
		out, err := n.verify(ctx, v, req.Repair, &done)
		if ctx.Err() != nil {
			return result, ctx.Err()
		}
		if err != nil {
			out.Error = &api.Error{Code: api.CodeOf(err), Message: err.Error()}
			if len(out.Bad) > 0 {
				out.Error.Code = api.CodeCorrupt // weighs more than why it stays so
			}
		}
		result.Videos = append(result.Videos, out)
	}
	return result, nil
}

func (n *Node) verify(ctx context.Context, v blockstore.Video, repair bool, done *atomic.Int64) (api.Verified, error) {
	out := api.Verified{CID: v.CID.String(), Name: v.Name, Bad: []api.Damage{}}
	m, err := n.lib.manifest(ctx, v.CID)
	if err != nil {
		return out, err
	}
	files, err := n.store.Files(v.CID)
	if err != nil {
		return out, err
	}
	if len(files) == 0 {
		return out, api.Errorf(api.CodeNotFound, "video %s has no file here", v.CID)
	}
	var failed error
	for _, f := range files {
		c := checker{node: n, m: m, path: f.Path, done: done}
		err := c.run(ctx)
		if err == nil {
			n.noteDamage(f, &c)
		}
		if err == nil && repair && len(c.bad) > 0 {
			var repaired int
			repaired, err = n.repair(ctx, v, f, &c)
			out.Repaired += repaired
		}
		failed = errors.Join(failed, err)
		out.Bytes += c.good.Load()
		out.Bad = append(out.Bad, c.bad...)
	}
	out.OK = failed == nil && len(out.Bad) == 0
	return out, failed
}

// checker reads one file of a video on every core.
type checker struct {
	node *Node
	m    *manifest.Manifest
	path string
	done *atomic.Int64
	info fs.FileInfo  // of the file that was read
	good atomic.Int64 // bytes

	mu    sync.Mutex
	bad   []api.Damage
	wrong int64 // bytes that are there and should be others
}

func (c *checker) run(ctx context.Context) error {
	f, err := openRegular(c.path)
	if err != nil {
		return api.Errorf(api.CodeNotFound, "%w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	c.info = info
	if extra := info.Size() - c.m.Size(); extra > 0 {
		c.report(api.Damage{Path: c.path, Block: c.m.NumBlocks(), Offset: c.m.Size(), Length: extra, Reason: "bytes beyond the video's end"})
	}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			buf := make([]byte, manifest.PieceSize)
			for i := next.Add(1) - 1; int(i) < c.m.NumBlocks(); i = next.Add(1) - 1 {
				if err := c.block(ctx, f, c.m.Block(int(i)), buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = g.Wait()
	slices.SortFunc(c.bad, func(a, b api.Damage) int { return int(min(1, max(-1, a.Offset-b.Offset))) })
	return err
}

func (c *checker) block(ctx context.Context, f io.ReaderAt, b manifest.Block, buf []byte) error {
	outboard, err := c.node.store.Outboard(b.Digest)
	if err != nil {
		return fmt.Errorf("proofs of block %s: %w", b.CID(), err)
	}
	var proof []byte
	for piece := range manifest.NumPieces(b.Len) {
		if err := ctx.Err(); err != nil {
			return err
		}
		data := buf[:manifest.PieceLen(b.Len, piece)]
		offset := b.Offset + int64(piece)*manifest.PieceSize
		d := api.Damage{Path: c.path, Block: b.Index, Piece: piece, Offset: offset, Length: int64(len(data))}
		n, err := f.ReadAt(data, offset)
		proof = outboard.AppendProof(proof[:0], b.Len, piece)
		switch {
		case n < len(data) && errors.Is(err, io.EOF):
			d.Reason = "the file ends before"
			c.report(d)
		case n < len(data):
			d.Reason = err.Error()
			c.report(d)
		case manifest.CheckPiece(b.Digest, b.Len, piece, data, proof) != nil:
			d.Reason = manifest.ErrCorrupt.Error()
			c.report(d)
			c.count(len(data))
		default:
			c.good.Add(int64(len(data)))
		}
		c.done.Add(int64(len(data)))
	}
	return nil
}

func (c *checker) report(d api.Damage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.bad) < maxDamage {
		c.bad = append(c.bad, d)
	}
}

// count notes bytes that are wrong.
func (c *checker) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong += int64(n)
}

// openRegular opens a file to read. It does not wait at a pipe.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
