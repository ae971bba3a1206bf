package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

const (
	// liveAtOnce is how many recordings are fetched at once while they grow.
	liveAtOnce = 64
	// maxLiveOfPeer is how many of one peer have a job, so that its recordings that
	// never end leave room for those of others; the others' entries wait in the
	// index.
	maxLiveOfPeer = liveAtOnce / 2

	liveRetryFirst = 2 * time.Second
	liveRetryLast  = time.Minute

	// liveCheck is how often a version is looked at that is not the newest; one of
	// which nothing came for liveStill is left for the newest.
	liveCheck = 500 * time.Millisecond
	liveStill = 3 * time.Second
)

// errSuperseded ends the fetch of a version for the sake of a newer one.
var errSuperseded = errors.New("there is a newer version of the recording")

// runLive is the work of the job of one recording: it brings one version after
// another into the same part file, until the recording is finished. A version is
// brought to its end before the newest one is begun; they have the same blocks,
// and a slow link has more than one new block each time.
func (n *Node) runLive(ctx context.Context, t *task) error {
	net, err := n.network(ctx)
	if err != nil {
		return err
	}
	var spec fetchSpec
	if err := json.Unmarshal(t.job.Spec, &spec); err != nil || spec.Follow == nil {
		return errors.Join(fmt.Errorf("job %s is not of a recording", t.job.ID), err)
	}
	whole := ""
	for {
		changed := n.follows.moved.next()
		now, err := n.follows.live(liveKey(spec))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return n.afterLive(ctx, spec)
		case err != nil:
			return err
		case now.Unwanted:
			return n.endUnwanted(now.Spec)
		case now.Ended:
			return n.endLive(ctx, now.Spec)
		case now.Video == whole:
			n.reportLive(t, now)
			select {
			case <-changed:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		err = n.bringVersion(ctx, t, net, now)
		switch {
		case err == nil:
			whole = now.Video
		case !errors.Is(err, errSuperseded):
			return liveRetry(t.failed, err)
		}
	}
}

// reportLive shows a recording of which all is here that there is.
func (n *Node) reportLive(t *task, now liveRecord) {
	t.setReport(func() api.Progress {
		return api.Progress{Phase: "recording", Name: now.Spec.Name, Done: now.Size, Size: now.Size, ETASeconds: -1, Peers: []api.PeerShare{}}
	})
}

// liveRetry has a fetch tried again, after so many failures in a row before this.
func liveRetry(failed int, err error) error {
	return &waitError{err: err, pause: min(liveRetryFirst<<min(failed, 8), liveRetryLast)}
}

// afterLive ends the job of a recording that is finished: its fetch goes on with
// what came. If the peer is not followed any more, what came is all.
func (n *Node) afterLive(ctx context.Context, spec fetchSpec) error {
	_, _, err := n.followed(spec.Follow.Peer)
	if api.CodeOf(err) == api.CodeNotFound {
		if err := n.keepLive(ctx, spec); err != nil {
			return liveRetry(1, err)
		}
	}
	return nil
}

// endLive ends the job of a recording that was lost at the peer.
func (n *Node) endLive(ctx context.Context, spec fetchSpec) error {
	if err := n.keepLive(ctx, spec); err != nil {
		return liveRetry(1, err)
	}
	return n.store.DropState(stateLive, liveKey(spec))
}

// endUnwanted ends the job of a recording that is not to be here any more.
func (n *Node) endUnwanted(spec fetchSpec) error {
	if err := n.dropLive(spec); err != nil {
		return liveRetry(1, err)
	}
	return n.store.DropState(stateLive, liveKey(spec))
}

// bringVersion brings all of one version into the part file, and returns
// errSuperseded if another is to be brought instead.
func (n *Node) bringVersion(ctx context.Context, t *task, net *network, now liveRecord) error {
	video, err := now.versionOf()
	if err != nil {
		return err
	}
	data, err := json.Marshal(now.Spec)
	if err != nil {
		return err
	}
	f, err := n.newFetch(newTask(blockstore.Job{ID: t.job.ID, Kind: t.job.Kind, Video: video, Spec: data}), net)
	if err != nil {
		return err
	}
	connecting := api.Progress{Phase: "connecting", Name: f.spec.Name, ETASeconds: -1, Peers: []api.PeerShare{}}
	f.task.setReport(func() api.Progress { return connecting })
	t.setReport(func() api.Progress {
		p, _ := f.task.progress()
		return p
	})
	g, gctx := errgroup.WithContext(ctx)
	looking, stop := context.WithCancel(gctx)
	g.Go(func() error { return f.providers.lookUntil(looking) })
	g.Go(func() error { return n.superseded(looking, f, now) })
	g.Go(func() error {
		defer stop()
		select {
		case m := <-f.providers.manifest:
			f.providers.rest()
			return n.collectVersion(gctx, f, m)
		case <-gctx.Done():
			return gctx.Err()
		}
	})
	return g.Wait()
}

// collectVersion brings the pieces of a version that are not here.
func (n *Node) collectVersion(ctx context.Context, f *fetch, m *manifest.Manifest) (err error) {
	if err := n.store.PutManifest(m); err != nil {
		return err
	}
	target, err := n.target(f)
	if err != nil {
		return err
	}
	file, err := assemble.Open(ctx, n.store, m, target, assemble.Config{Logger: n.log, Recording: f.spec.Recording})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	have, _ := file.Holdings()
	f.resumed = have.Bytes()
	f.file.Store(file)
	return n.collect(ctx, f, file, m)
}

// superseded returns errSuperseded once the recording is finished, or a newer
// version is there and nothing comes of this one; nil when ctx ends.
func (n *Node) superseded(ctx context.Context, f *fetch, at liveRecord) error {
	tick := time.NewTicker(liveCheck)
	defer tick.Stop()
	had, still := int64(-1), time.Now()
	for {
		now, err := n.follows.live(liveKey(at.Spec))
		if err != nil || now.Ended || now.Unwanted {
			return errSuperseded // whoever looks next finds out
		}
		if file := f.file.Load(); file != nil {
			have, _ := file.Holdings()
			if have.Bytes() != had {
				had, still = have.Bytes(), time.Now()
			}
		}
		if now.Video != at.Video && time.Since(still) > liveStill {
			return errSuperseded
		}
		select {
		case <-n.follows.moved.next():
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
