package daemon

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// readPoll is how often a reader looks for what announces itself to nobody: a
// video that came by another way than its fetch, and a piece on a disk that has
// trouble. The steps of a fetch and its pieces wake it.
const readPoll = 200 * time.Millisecond

// Cat writes a range of a video, every byte checked. What is not here is
// fetched first, from the range's start on.
func (n *Node) Cat(ctx context.Context, req api.CatRequest, w io.Writer) error {
	video, err := n.resolve(req.Ref)
	if err != nil {
		return err
	}
	if req.Offset < 0 {
		return api.Errorf(api.CodeUsage, "--offset %d is negative", req.Offset)
	}
	var t *task
	if !n.isWhole(ctx, video) {
		if t, err = n.fetchForReading(ctx, req); err != nil {
			return err
		}
		t.reads.Store(req.Offset/manifest.BlockSize + 1)
		t.count(+1)
		defer n.endReading(ctx, t)
	}
	return n.catFrom(ctx, video, t, req, w)
}

// catFrom writes what is asked for as it comes with the fetch t, nil for a
// video that is whole.
func (n *Node) catFrom(ctx context.Context, video cid.Cid, t *task, req api.CatRequest, w io.Writer) error {
	m, err := n.awaitManifest(ctx, video, t)
	if err != nil {
		return err
	}
	end := m.Size()
	if req.Length >= 0 && req.Length < end-req.Offset {
		end = req.Offset + req.Length
	}
	if req.Offset > m.Size() {
		return api.Errorf(api.CodeUsage, "--offset %d is beyond the video's %d bytes", req.Offset, m.Size())
	}
	r := reader{node: n, m: m, task: t, buf: make([]byte, manifest.PieceSize)}
	for offset := req.Offset; offset < end; {
		piece, start, err := r.piece(ctx, offset)
		if err != nil {
			return err
		}
		part := piece[offset-start : min(int64(len(piece)), end-start)]
		if _, err := w.Write(part); err != nil {
			return err
		}
		offset += int64(len(part))
	}
	return nil
}

// fetchForReading starts a fetch, or joins the one that runs.
func (n *Node) fetchForReading(ctx context.Context, req api.CatRequest) (*task, error) {
	job, err := n.fetchJob(ctx, api.FetchRequest{Ref: req.Ref, Peers: req.Peers, NoTranscribe: true}, true)
	if err != nil {
		return nil, err
	}
	t, _, err := n.jobs.submit(job)
	return t, err
}

// endReading ends the fetch of a reader that is gone, unless somebody else
// wants the video, or all of it is here. What came is kept for the next one.
func (n *Node) endReading(ctx context.Context, t *task) {
	t.count(-1)
	if f := n.lib.fetching(t.job.Video); f != nil {
		if have, _ := f.file.Load().Holdings(); have.Complete() {
			return
		}
	}
	t = n.jobs.task(t.job.ID) // the attempt that followed, if there is another
	if t == nil {
		return
	}
	if spec, err := blend(t.requests()); err == nil && spec.Reading {
		n.logged("end fetch for reading", n.abandon(ctx, t))
	}
}

// awaitManifest waits until the manifest is here, or the fetch t has ended.
func (n *Node) awaitManifest(ctx context.Context, video cid.Cid, t *task) (*manifest.Manifest, error) {
	for {
		last := t == nil || t.ended() // nothing comes after this
		var moved <-chan struct{}
		if !last {
			moved = t.moved.next()
		}
		m, err := n.lib.manifest(ctx, video)
		if !errors.Is(err, fs.ErrNotExist) {
			return m, err
		}
		if last {
			return nil, readError(t, err)
		}
		if err := waitChange(ctx, t, moved, nil); err != nil {
			return nil, err
		}
	}
}

// reader reads pieces of one video, waiting for those that are on their way.
type reader struct {
	node *Node
	m    *manifest.Manifest
	task *task // of the fetch; nil for a video that is whole
	buf  []byte
}

// piece returns the verified piece around offset, and where it starts.
func (r *reader) piece(ctx context.Context, offset int64) (data []byte, start int64, err error) {
	b := r.m.Block(int(offset / manifest.BlockSize))
	piece := int(offset-b.Offset) / manifest.PieceSize
	start = b.Offset + int64(piece)*manifest.PieceSize
	for data, err = r.read(ctx, b, piece); err != nil; {
		last := r.task == nil || r.task.ended() // nothing comes after this
		var moved, changed <-chan struct{}      // taken before the look at what there is
		if !last {
			moved, changed = r.task.moved.next(), r.await(b.Index, piece)
		}
		if data, err = r.read(ctx, b, piece); err == nil {
			break
		}
		if last {
			return nil, 0, readError(r.task, err)
		}
		if err := waitChange(ctx, r.task, moved, changed); err != nil {
			return nil, 0, err
		}
	}
	return data, start, nil
}

// read gets a piece from the running fetch, which checked it, or from a file
// here, checking it.
func (r *reader) read(ctx context.Context, b manifest.Block, piece int) ([]byte, error) {
	if f := r.node.lib.fetching(r.m.CID()); f != nil {
		data, _, err := f.file.Load().ReadPiece(ctx, b.Index, piece, r.buf, nil)
		if err == nil {
			return data, nil
		}
	}
	data, _, err := r.node.store.ReadPiece(ctx, b.Digest, b.Len, piece, r.buf, nil)
	return data, err
}

// readError is what is told of a piece that cannot be had: why the fetch t
// failed, if it did, or what is wrong here.
func readError(t *task, err error) error {
	switch {
	case t != nil && t.err != nil:
		return t.err
	case errors.Is(err, manifest.ErrCorrupt):
		return api.Errorf(api.CodeCorrupt, "%w; see: vidsync verify", err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, blockstore.ErrChanged):
		return api.Errorf(api.CodeNotFound, "%w; see: vidsync info", err)
	}
	return err
}

// await asks for a block before others, and returns a channel that is closed
// when more of the video is here; nil while nothing is asked of anybody.
func (r *reader) await(block, piece int) <-chan struct{} {
	f := r.node.lib.fetching(r.m.CID())
	if f == nil {
		return nil
	}
	have, changed := f.file.Load().Holdings()
	if x := f.x.Load(); x != nil && !have.Has(block, piece) {
		x.Prioritise(block)
	}
	return changed
}

// waitChange waits a while, or until one of the channels is closed or the fetch
// has ended.
func waitChange(ctx context.Context, t *task, moved, changed <-chan struct{}) error {
	poll := time.NewTimer(readPoll)
	defer poll.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.done:
	case <-moved:
	case <-changed:
	case <-poll.C:
	}
	return nil
}
