package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/manifest"
)

// maxReopen is how often a fetch starts over with what its receipts cover,
// after its part file vanished or lost bytes under it.
const maxReopen = 3

// maxInFlight bounds the pieces of one fetch that are asked for or not yet
// written: half a second of 1 Gbit/s, and what a slow disk may pile up.
const maxInFlight = 64 << 20

// noSpaceRetry is how often a fetch that waits for room looks for it.
const noSpaceRetry = 30 * time.Second

// fetchSpec is what a stored fetch job remembers of its request.
type fetchSpec struct {
	Name         string   `json:"name,omitempty"` // suggested by the ticket
	Ticket       string   `json:"ticket,omitempty"`
	Output       string   `json:"output,omitempty"`
	Peers        []string `json:"peers,omitempty"`
	NoTranscribe bool     `json:"no_transcribe,omitempty"`
	Detached     bool     `json:"detached,omitempty"` // nobody waits: keep trying
}

// fetch is one running attempt to bring a video here.
type fetch struct {
	video   cid.Cid
	spec    fetchSpec
	named   []peer.AddrInfo
	signer  peer.ID // of the ticket; empty without one
	ticket  []byte  // its capability
	started time.Time

	file    *assemble.File
	x       atomic.Pointer[exchange.Exchange] // nil until pieces are asked of peers
	resumed int64                             // bytes on disk from before
	local   atomic.Int64                      // bytes taken from other files here
}

// Fetch brings a video here, and unless told otherwise waits for its
// transcript.
func (n *Node) Fetch(ctx context.Context, req api.FetchRequest, emit func(api.Progress)) (api.FetchResult, error) {
	if req.Timeout < 0 {
		return api.FetchResult{}, api.Errorf(api.CodeUsage, "--timeout %v is negative", req.Timeout)
	}
	job, err := n.fetchJob(ctx, req)
	if err != nil {
		return api.FetchResult{}, err
	}
	if req.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, req.Timeout)
		defer cancel()
	}
	t, err := n.jobs.submit(job)
	if err != nil {
		return api.FetchResult{}, err
	}
	if req.Detach {
		return api.FetchResult{CID: job.Video.String(), Peers: []api.PeerShare{}}, nil
	}
	if err := t.wait(ctx, emit); err != nil {
		return api.FetchResult{}, n.fetchError(ctx, job, err, req.Timeout)
	}
	result := t.result.(api.FetchResult)
	if !req.NoTranscribe && !n.cfg.NoTranscribe {
		result.Transcript = n.awaitTranscript(ctx, job.Video, emit)
	}
	return result, nil
}

// fetchJob checks a request and makes a job of it.
func (n *Node) fetchJob(ctx context.Context, req api.FetchRequest) (blockstore.Job, error) {
	spec := fetchSpec{Output: req.Output, Peers: req.Peers, NoTranscribe: req.NoTranscribe || n.cfg.NoTranscribe, Detached: req.Detach}
	video, err := n.resolve(req.Ref)
	if api.CodeOf(err) == api.CodeNotFound { // it can't be asked of anybody
		err = api.Errorf(api.CodeUsage, "%w", err)
	}
	if err != nil {
		return blockstore.Job{}, err
	}
	if isTicket(req.Ref) {
		inv, err := parseTicket(req.Ref)
		if err != nil {
			return blockstore.Job{}, api.Errorf(api.CodeUsage, "%w", err)
		}
		spec.Ticket, spec.Name = req.Ref, inv.Name
		if err := inv.check(video, time.Now()); err != nil && !n.isWhole(ctx, video) {
			return blockstore.Job{}, api.Errorf(api.CodeRefused, "%w (on %s); ask its owner for a new one", err, inv.Expires.Format(time.RFC1123))
		}
	}
	for _, addr := range req.Peers {
		if _, err := parsePeer(addr); err != nil {
			return blockstore.Job{}, err
		}
	}
	data, err := json.Marshal(spec)
	if err != nil {
		return blockstore.Job{}, err
	}
	return blockstore.Job{ID: jobID(kindFetch, video), Kind: kindFetch, Video: video, Spec: data}, nil
}

// fetchError is what the waiting user is told of a fetch that did not end well.
func (n *Node) fetchError(ctx context.Context, job blockstore.Job, err error, timeout time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		giveUp, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialTimeout)
		defer cancel()
		if err := n.jobs.giveUp(giveUp, job.ID); err != nil {
			return err
		}
		return api.Errorf(api.CodeUnavailable, "video %s did not arrive within %v; what came is kept, and the same command goes on from there", job.Video, timeout)
	}
	if errors.Is(err, errGivenUp) {
		return api.Errorf(api.CodeOther, "fetch of %s was given up by another command", job.Video)
	}
	return err
}

// runFetch is the work of one fetch job.
func (n *Node) runFetch(ctx context.Context, t *task) error {
	f, err := n.newFetch(t.job)
	if err != nil {
		return err
	}
	net, err := n.network(ctx)
	if err != nil {
		return err
	}
	connecting := api.Progress{Phase: "connecting", Name: f.spec.Name, ETASeconds: -1, Peers: []api.PeerShare{}}
	t.setReport(func() api.Progress { return connecting })
	p := newProviders(net, n.trust, f.video, n.log)
	p.named, p.capability = f.named, f.ticket
	if m, err := n.library.manifest(ctx, f.video); err == nil {
		p.know(m)
		p.manifest <- m
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	g, gctx := errgroup.WithContext(ctx)
	looking, stop := context.WithCancel(gctx)
	g.Go(func() error { return p.lookUntil(looking) })
	g.Go(func() error {
		defer stop()
		select {
		case m := <-p.manifest:
			return n.bring(gctx, t, f, m, p)
		case <-gctx.Done():
			return gctx.Err()
		}
	})
	return fetchOutcome(ctx, t.job, f.spec, g.Wait())
}

func (n *Node) newFetch(job blockstore.Job) (*fetch, error) {
	f := &fetch{video: job.Video, started: time.Now()}
	if err := json.Unmarshal(job.Spec, &f.spec); err != nil {
		return nil, fmt.Errorf("job %s: %w", job.ID, err)
	}
	if f.spec.Ticket != "" {
		inv, err := parseTicket(f.spec.Ticket)
		if err != nil {
			return nil, fmt.Errorf("job %s: %w", job.ID, err)
		}
		f.signer, f.ticket = inv.Signer, inv.Bytes
		f.named = append(f.named, inv.Provider)
	}
	for _, addr := range f.spec.Peers {
		info, err := parsePeer(addr)
		if err != nil {
			return nil, err
		}
		f.named = append(f.named, info)
	}
	return f, nil
}

// bring does all that follows once the manifest is known.
func (n *Node) bring(ctx context.Context, t *task, f *fetch, m *manifest.Manifest, p *providers) error {
	if err := n.store.PutManifest(m); err != nil {
		return err
	}
	if err := n.nameFetch(t, f, p); err != nil {
		return err
	}
	for i := 1; ; i++ {
		err := n.bringOnce(ctx, t, f, m, p)
		lost := errors.Is(err, assemble.ErrPartLost) || errors.Is(err, assemble.ErrIncomplete)
		if !lost || i == maxReopen {
			return err
		}
		n.log.Warn("fetch starts over from its receipts", "video", f.video, "error", err)
	}
}

func (n *Node) bringOnce(ctx context.Context, t *task, f *fetch, m *manifest.Manifest, p *providers) (err error) {
	f.file, err = assemble.Open(ctx, n.store, m, n.target(f), assemble.Config{Logger: n.log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.file.Close()) }()
	have, _ := f.file.Holdings()
	f.resumed = have.Bytes()
	n.library.begin(f)
	defer n.library.end(f)
	if err := n.collect(ctx, t, f, m, p); err != nil {
		return err
	}
	t.setReport(func() api.Progress { return n.fetchProgress(f, m, "finishing") })
	path, job, err := n.finish(ctx, f, m)
	if err != nil {
		return err
	}
	if job != nil {
		n.jobs.enqueue(*job)
	}
	t.result = n.fetchResult(f, m, path)
	return nil
}

// nameFetch settles what a video that came without a name is called: as the
// catalogue has it from before, or as its provider calls it. The job remembers
// it, so that a restart goes on with the same file.
func (n *Node) nameFetch(t *task, f *fetch, p *providers) (err error) {
	if f.spec.Name != "" {
		return nil
	}
	f.spec.Name = p.suggestedName()
	if v, err := n.store.Video(f.video); err == nil {
		f.spec.Name = v.Name
	}
	if t.job.Spec, err = json.Marshal(f.spec); err != nil {
		return err
	}
	return n.jobs.put(t.job)
}

// collect brings every piece into the file: from other files of this node,
// then from peers.
func (n *Node) collect(ctx context.Context, t *task, f *fetch, m *manifest.Manifest, p *providers) error {
	if f.file.Done() {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	committing, stop := context.WithCancel(ctx)
	g.Go(func() error { return f.file.Run(committing) })
	g.Go(func() error {
		defer stop()
		t.setReport(func() api.Progress { return n.fetchProgress(f, m, "collecting") })
		if err := f.file.FillLocal(ctx, func(bytes int64) { f.local.Add(bytes) }); err != nil {
			return err
		}
		have, _ := f.file.Holdings()
		x := exchange.New(m.Size(), have, f.file, exchange.Config{
			MaxInFlight: maxInFlight,
			Logger:      n.log,
			OnBad: func(peer string, block, piece int, why error) {
				n.log.Warn("peer sent wrong bytes", "peer", peer, "video", f.video, "block", m.Block(block).CID(), "piece", piece, "error", why)
				p.ban(peer, fmt.Errorf("block %d, piece %d: %w", block, piece, why))
				n.bans.add(peer, why)
			},
		})
		f.x.Store(x)
		t.setReport(func() api.Progress { return n.fetchProgress(f, m, "fetching") })
		return x.Run(ctx, p.peers)
	})
	return g.Wait()
}

// target says where the video goes.
func (n *Node) target(f *fetch) assemble.Target {
	name := safeName(f.spec.Name, f.video)
	if f.spec.Output == "" {
		return assemble.Target{Dir: n.cfg.Paths.Videos, Name: name}
	}
	if info, err := os.Stat(f.spec.Output); err == nil && info.IsDir() {
		return assemble.Target{Dir: f.spec.Output, Name: name}
	}
	return assemble.Target{Dir: filepath.Dir(f.spec.Output), Name: filepath.Base(f.spec.Output), Exact: true}
}

// finish gives the file its name and, in the same step of the index, the
// catalogue its entry and the transcription its job.
func (n *Node) finish(ctx context.Context, f *fetch, m *manifest.Manifest) (string, *blockstore.Job, error) {
	v := blockstore.Video{
		CID: f.video, MediaType: mediaType(f.file.Path()),
		Size: m.Size(), Blocks: m.NumBlocks(), Added: time.Now().UTC(), State: videoWhole,
	}
	if old, err := n.store.Video(f.video); err == nil {
		v = old // a further copy of a video that is here
	}
	if f.signer != "" {
		v.Signer = f.signer.String()
	}
	if f.spec.NoTranscribe {
		path, err := f.file.Finish(ctx, v)
		return path, nil, err
	}
	job, err := transcriptionJob(f.video, transcriptionSpec{})
	if err != nil {
		return "", nil, err
	}
	path, err := f.file.Finish(ctx, v, job)
	return path, &job, err
}

// fetchOutcome turns what ended a fetch into what the job queue and the user
// act on. A first attempt for want of a provider fails, as its user waits for
// the answer; one that nobody waits for is tried again.
func fetchOutcome(ctx context.Context, job blockstore.Job, spec fetchSpec, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if errors.Is(err, assemble.ErrNoSpace) {
		return &waitError{err: api.Errorf(api.CodeNoSpace, "%w", err), pause: noSpaceRetry}
	}
	if errors.Is(err, assemble.ErrExists) {
		return api.Errorf(api.CodeOther, "%w; choose another path with -o", err)
	}
	if wait, ok := errors.AsType[*waitError](err); ok && !spec.Detached && job.Attempts <= 1 {
		return wait.err
	}
	return err
}
