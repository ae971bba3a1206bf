package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
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

const (
	// maxReopen is how often a fetch starts over with what its receipts cover,
	// after its part file vanished or lost bytes under it.
	maxReopen = 3

	// noSpaceRetry is how often a fetch that waits for room looks for it.
	noSpaceRetry = 30 * time.Second

	// haveEvery is the pause between two looks at what came without peers.
	haveEvery = 200 * time.Millisecond
)

// fetch is one running attempt to bring a video here.
type fetch struct {
	task      *task
	video     cid.Cid
	spec      fetchSpec // as the attempt began
	signer    peer.ID   // of the ticket; empty without one
	here      bool      // the catalogue had the video before
	started   time.Time
	providers *providers

	file    atomic.Pointer[assemble.File]     // nil until the manifest is known
	x       atomic.Pointer[exchange.Exchange] // nil until pieces are asked of peers
	resumed int64                             // bytes on disk from before
	local   atomic.Int64                      // bytes taken from other files here
	silence silence                           // of all peers
}

// runFetch is the work of one fetch job.
func (n *Node) runFetch(ctx context.Context, t *task) error {
	net, err := n.network(ctx)
	if err != nil {
		return err
	}
	f, err := n.newFetch(t, net)
	if err != nil {
		return err
	}
	connecting := api.Progress{Phase: "connecting", Name: f.spec.Name, ETASeconds: -1, Peers: []api.PeerShare{}}
	t.setReport(func() api.Progress { return connecting })
	p := f.providers
	if err := n.useStoredManifest(ctx, f); err != nil {
		return err
	}

	g, gctx := errgroup.WithContext(ctx)
	looking, stop := context.WithCancel(gctx)
	g.Go(func() error { return p.lookUntil(looking) })
	g.Go(func() error {
		defer stop()
		select {
		case m := <-p.manifest:
			p.rest()
			return n.bring(gctx, f, m)
		case <-gctx.Done():
			return gctx.Err()
		}
	})
	return f.outcome(ctx, g.Wait())
}

// useStoredManifest saves asking peers for a manifest that is here. A fetch
// without a name asks all the same: the name comes with the manifest.
func (n *Node) useStoredManifest(ctx context.Context, f *fetch) error {
	if f.spec.Name == "" {
		return nil
	}
	m, err := n.lib.manifest(ctx, f.video)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		f.providers.know(m)
		f.providers.manifest <- m
	}
	return err
}

func (n *Node) newFetch(t *task, net *network) (*fetch, error) {
	f := &fetch{task: t, video: t.job.Video, started: time.Now()}
	spec, err := blend(t.requests())
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", t.job.ID, err)
	}
	spec.Name = cmp.Or(spec.Name, n.nameHere(t.job.Video))
	f.spec = spec
	if spec.Ticket != "" {
		inv, err := parseTicket(spec.Ticket)
		if err != nil {
			return nil, fmt.Errorf("job %s: %w", t.job.ID, err)
		}
		f.signer = inv.Signer
	}
	if f.here, err = n.inCatalogue(f.video); err != nil {
		return nil, err
	}
	f.providers = newProviders(net, n.trust, n.bans, f.video, n.log)
	f.providers.crowded = func() bool { return n.jobs.crowded(kindFetch) }
	t.listen(f.providers.join)
	t.setAccount(f.providers.account)
	return f, nil
}

// broughtBy tells whether all that is here of the video came by a ticket of
// that signer. If not, the signer may know no more of it than its CID.
func (f *fetch) broughtBy(signer peer.ID) bool {
	return signer != "" && f.signer == signer && !f.here && f.local.Load() == 0
}

// bring does all that follows once the manifest is known.
func (n *Node) bring(ctx context.Context, f *fetch, m *manifest.Manifest) error {
	if err := n.nameFetch(f); err != nil { // first: from here on peers ask for the name
		return err
	}
	if err := n.store.PutManifest(m); err != nil {
		return err
	}
	f.task.moved.tell()
	for i := 1; ; i++ {
		err := n.bringOnce(ctx, f, m)
		lost := errors.Is(err, assemble.ErrPartLost) || errors.Is(err, assemble.ErrIncomplete)
		if !lost || i == maxReopen {
			return err
		}
		n.log.Warn("fetch starts over from its receipts", "video", f.video, "error", err)
	}
}

func (n *Node) bringOnce(ctx context.Context, f *fetch, m *manifest.Manifest) (err error) {
	target, err := n.target(f)
	if err != nil {
		return err
	}
	file, err := assemble.Open(ctx, n.store, m, target, assemble.Config{Logger: n.log, Recording: f.spec.Recording})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
	}()
	have, _ := file.Holdings()
	f.resumed = have.Bytes()
	f.file.Store(file)
	n.lib.begin(f)
	defer n.lib.end(f)
	f.task.moved.tell()
	if err := n.collect(ctx, f, file, m); err != nil {
		return err
	}
	if err := n.readBack(ctx, f, file, m); err != nil {
		return err
	}
	f.task.setReport(func() api.Progress { return f.progress(m, "finishing") })
	path, job, err := n.finish(ctx, f, file, m)
	if err != nil {
		return err
	}
	if err := n.attest(f, m); err != nil { // first: a transcript is announced of videos that have a receipt
		return err
	}
	if err := n.tellArrived(f, path); err != nil { // before its transcript can be ready
		return err
	}
	if job != nil {
		n.jobs.enqueue(*job)
	}
	f.task.result = f.result(m, path)
	return nil
}

// nameHere is what a video is called in the catalogue, or by an earlier attempt
// to fetch it; empty if neither knows it.
func (n *Node) nameHere(video cid.Cid) string {
	if v, err := n.store.Video(video); err == nil {
		return v.Name
	}
	if r, err := n.store.Receipt(video); err == nil {
		return filepath.Base(r.Final)
	}
	return ""
}

// nameFetch settles what a video that came without a name is called: as its
// provider does. The job remembers it, so that a restart goes on with the same
// file.
func (n *Node) nameFetch(f *fetch) (err error) {
	f.spec.Name = cmp.Or(f.spec.Name, f.providers.suggestedName())
	job := &f.task.job
	if job.Spec, err = json.Marshal(f.spec); err != nil {
		return err
	}
	return n.jobs.put(*job)
}

// collect brings every piece into the file: from other files of this node,
// then from peers.
func (n *Node) collect(ctx context.Context, f *fetch, file *assemble.File, m *manifest.Manifest) error {
	if file.Done() {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	committing, stop := context.WithCancel(ctx)
	g.Go(func() error { return file.Run(committing) })
	g.Go(func() error {
		defer stop()
		f.task.setReport(func() api.Progress { return f.progress(m, "collecting") })
		if err := file.FillLocal(ctx, func(bytes int64) { f.local.Add(bytes) }); err != nil {
			return err
		}
		have, _ := file.Holdings()
		x := exchange.New(m.Size(), have, file, exchange.Config{Self: n.self.String(), MaxInFlight: maxInFlight, Logger: n.log, OnBad: n.onBad(f.providers, m)})
		if at := f.task.reads.Load(); at > 0 {
			x.Prioritise(int(at - 1)) // before it asks for anything
		}
		f.x.Store(x)
		f.task.moved.tell()
		defer n.memory.enter(x)()
		f.task.setReport(func() api.Progress { return f.progress(m, "fetching") })
		g.Go(func() error { return tellHave(committing, file, x) })
		f.providers.need()
		defer f.providers.rest()
		return x.Run(ctx, f.providers.peers)
	})
	return g.Wait()
}

// tellHave tells the exchange, until ctx ends, of pieces that come into the
// file without it: blocks that the video has more than once.
func tellHave(ctx context.Context, file *assemble.File, x *exchange.Exchange) error {
	var told *manifest.Holdings
	for {
		have, changed := file.Holdings()
		for block := range have.NumBlocks() {
			if told == nil || have.Mask(block) != told.Mask(block) {
				x.Have(block, have.Mask(block))
			}
		}
		told = have
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-time.After(haveEvery): // many changes at once
		case <-ctx.Done():
			return nil
		}
	}
}

// target says where the video goes.
func (n *Node) target(f *fetch) (assemble.Target, error) {
	name := safeName(f.spec.Name, f.video)
	if f.spec.Output == "" && f.spec.Follow != nil {
		return f.spec.Follow.target(f.spec.Name, f.video)
	}
	if f.spec.Output == "" {
		return assemble.Target{Dir: n.cfg.Paths.Videos, Name: name}, nil
	}
	if info, err := os.Stat(f.spec.Output); err == nil && info.IsDir() {
		return assemble.Target{Dir: f.spec.Output, Name: name}, nil
	}
	return assemble.Target{Dir: filepath.Dir(f.spec.Output), Name: filepath.Base(f.spec.Output), Exact: true}, nil
}

// finish gives the file its name and, in the same step of the index, the
// catalogue its entry and the transcription its job.
func (n *Node) finish(ctx context.Context, f *fetch, file *assemble.File, m *manifest.Manifest) (string, *blockstore.Job, error) {
	v := blockstore.Video{
		CID: f.video, MediaType: mediaType(file.Path()),
		Size: m.Size(), Blocks: m.NumBlocks(), Added: time.Now().UTC(), State: videoWhole,
	}
	if f.broughtBy(f.signer) {
		v.Signer = f.signer.String()
	}
	if f.spec.Follow != nil {
		v.RelPath = f.spec.Follow.RelPath
	}
	if old, err := n.store.Video(f.video); err == nil {
		v = old // a further copy of a video that is here
		v.State = videoWhole
	}
	spec, err := blend(f.task.requests())
	if err != nil {
		return "", nil, err
	}
	if spec.NoTranscribe {
		path, err := file.Finish(ctx, v)
		return path, nil, err
	}
	job, err := transcriptionJob(f.video, transcriptionSpec{Path: file.Path()})
	if err != nil {
		return "", nil, err
	}
	path, err := file.Finish(ctx, v, job)
	return path, &job, err
}

// outcome turns what ended a fetch into what the job queue and the user act
// on, and has the job remember what it was asked for. A first attempt for want
// of a provider fails, as its user waits for the answer; one that nobody waits
// for is tried again.
func (f *fetch) outcome(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	spec, blendErr := blend(f.task.requests())
	spec.Name = cmp.Or(f.spec.Name, spec.Name)
	data, jsonErr := json.Marshal(spec)
	if bad := errors.Join(blendErr, jsonErr); bad != nil {
		return bad
	}
	f.task.job.Spec = data
	if ctx.Err() != nil {
		return err
	}
	err = fetchOutcome(f.task.job.Attempts, spec.Detached, err)
	if spec.Follow != nil {
		return retried(err)
	}
	return err
}

func fetchOutcome(attempts int, detached bool, err error) error {
	switch wait, ok := errors.AsType[*waitError](err); {
	case errors.Is(err, assemble.ErrNoSpace), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &waitError{err: api.Errorf(api.CodeNoSpace, "%w", err), pause: noSpaceRetry}
	case errors.Is(err, assemble.ErrExists):
		return api.Errorf(api.CodeOther, "%w; choose another path with -o", err)
	case errors.Is(err, assemble.ErrName):
		return api.Errorf(api.CodeUsage, "%w; choose another path with -o", err)
	case ok && !wait.yields && !detached && attempts <= 1:
		return wait.err
	case !ok && diskTrouble(err) && (detached || attempts > 1):
		return &waitError{err: err} // a disk that comes back finds the fetch waiting
	}
	return err
}

// diskTrouble tells an error of the file system from others.
func diskTrouble(err error) bool {
	_, disk := errors.AsType[*assemble.DiskError](err)
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	return disk || path || link || errors.Is(err, assemble.ErrPartLost)
}
