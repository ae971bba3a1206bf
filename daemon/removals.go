package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

const (
	// removeRescan is how often all files are looked at, whatever was heard.
	removeRescan = 5 * time.Minute
	// removeRest is the least pause between two looks, and removeShare how many
	// times longer than a look the pause after it is.
	removeRest  = 200 * time.Millisecond
	removeShare = 4
	// removeRetryFirst and removeRetryLast are the pauses after a file could not
	// be removed.
	removeRetryFirst = time.Minute
	removeRetryLast  = time.Hour
	// removeRetryShared is the pause after a holder did not hold the video as soon
	// as the file was aside: every attempt disturbs it.
	removeRetryShared = 24 * time.Hour
	// maxRemoveRetries bounds the files of which a failure is remembered. Beyond
	// it all are forgotten, and tried again.
	maxRemoveRetries = 10_000
)

var (
	errNotHeld = errors.New("is not removed: a peer that has signed that it holds it does not say so now")
	errShared  = errors.New("is not removed: a peer that holds it did not any more once the file here had another name; is its copy this very file?")
	errCalled  = errors.New("is not removed: what allowed it has changed")
)

// removals deletes files of watched folders that other peers hold, where the
// folder's owner has asked for it.
type removals struct {
	node *Node
	due  chan struct{} // holds one: something may be removed

	// deciding is held from the last look at what allows a removal until the file
	// is gone. Who takes back what allows it takes it afterwards: then nothing is
	// removed any more.
	deciding sync.Mutex

	looking sync.Mutex // held by the one look at a time

	mu    sync.Mutex
	later map[string]removeRetry // by path
}

type removeRetry struct {
	pause time.Duration
	at    time.Time
}

func newRemovals(n *Node) *removals {
	return &removals{node: n, due: make(chan struct{}, 1), later: map[string]removeRetry{}}
}

// run removes what may be removed until ctx ends: when a receipt or a trusted
// peer comes, when a folder's settings change, and every removeRescan.
func (r *removals) run(ctx context.Context, net *network) error {
	came := &libp2pnet.NotifyBundle{ConnectedF: func(_ libp2pnet.Network, c libp2pnet.Conn) {
		if r.node.trust.has(c.RemotePeer()) {
			notify(r.due)
		}
	}}
	net.host.Network().Notify(came)
	defer net.host.Network().StopNotify(came)
	for {
		started := time.Now()
		r.node.logged("remove files that others hold", r.look(ctx, net))
		rest := time.After(max(removeRest, removeShare*time.Since(started)))
		select {
		case <-rest:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-r.due:
		case <-time.After(removeRescan):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settled returns once no removal is under way that does not know what was
// stored before.
func (r *removals) settled() {
	r.deciding.Lock()
	defer r.deciding.Unlock()
}

// again has everything looked at once more, what failed too.
func (r *removals) again() {
	r.mu.Lock()
	clear(r.later)
	r.mu.Unlock()
	notify(r.due)
}

// look goes once through all files that may be removed.
func (r *removals) look(ctx context.Context, net *network) error {
	r.looking.Lock()
	defer r.looking.Unlock()
	if err := r.node.recoverRemovals(); err != nil {
		return err
	}
	folders, _ := r.node.watching.all()
	removed := false
	for dir, f := range folders {
		if f.stored().Remove.After == 0 || !f.present() {
			continue
		}
		prefix := strings.TrimSuffix(dir, "/") + "/"
		for s, err := range r.node.store.States(stateAddedMark, prefix) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			gone, err := r.try(ctx, net, f, s.Key)
			if err != nil {
				return err
			}
			removed = removed || gone
		}
	}
	if removed {
		return r.node.pruneRemovals()
	}
	return nil
}

// try removes one file if it may be. What is wrong with the file is told by the
// folder's list, and tried again later.
func (r *removals) try(ctx context.Context, net *network, f *watchedFolder, path string) (gone bool, err error) {
	c, ready, err := r.candidate(ctx, net, f, path)
	if err != nil || !ready {
		return false, err
	}
	err = c.remove(ctx)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	r.settle(path, err)
	switch {
	case err == nil:
		f.note(path, nil)
		return true, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, blockstore.ErrChanged), errors.Is(err, errCalled):
		return false, nil // the watch tells of that
	}
	r.node.log.Warn("file is held by others and cannot be removed; tried again later", "path", path, "error", err)
	f.note(path, err)
	return false, nil
}

// settle remembers when a file is tried again.
func (r *removals) settle(path string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.later[path]
	switch {
	case err == nil:
		delete(r.later, path)
		return
	case len(r.later) >= maxRemoveRetries:
		clear(r.later)
	}
	pause := min(max(2*old.pause, removeRetryFirst), removeRetryLast)
	if errors.Is(err, errShared) {
		pause = removeRetryShared
	}
	r.later[path] = removeRetry{pause, time.Now().Add(pause)}
}

func (r *removals) pauses(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.later[path].at)
}

// candidate is a file that enough peers have signed for, as many of whom as need
// be are connected.
type candidate struct {
	removals *removals
	net      *network
	folder   *watchedFolder
	file     blockstore.File
	manifest *manifest.Manifest
	need     int
	holders  map[peer.ID]time.Time // when each had read every byte
}

// candidate looks whether a file is one. Nothing is asked of anybody.
func (r *removals) candidate(ctx context.Context, net *network, f *watchedFolder, path string) (c candidate, ready bool, err error) {
	n := r.node
	file, err := n.store.FileRecord(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, false, n.store.DropState(stateAddedMark, path)
	}
	if err != nil || r.pauses(path) {
		return c, false, err
	}
	marked, err := n.isMarked(file)
	if err != nil || !marked || n.isBusy(file) {
		return c, false, err
	}
	policy := f.stored().Remove
	holders, err := n.countedHolders(file.Video, file.Stamp.Size, policy)
	if err != nil || connectedHolders(net, holders) < policy.After {
		return c, false, err
	}
	m, err := n.lib.manifest(ctx, file.Video)
	if err != nil || m.Size() != file.Stamp.Size {
		return c, false, err
	}
	return candidate{r, net, f, file, m, policy.After, holders}, true, nil
}

// isBusy tells whether this node works with a file at the moment.
func (n *Node) isBusy(file blockstore.File) bool {
	t := n.jobs.task(jobID(kindTranscribe, file.Video))
	return t != nil && !t.ended() || n.lib.fetching(file.Video) != nil
}

// remove asks the holders and deletes the file if enough of them say that they
// hold the video. They are asked twice: the first time so that nothing is touched
// in vain, the second time while this node says that it has not got the video
// and the file has a hidden name. Then neither a peer that wants to remove its
// own copy counts, nor one whose copy is this very file.
func (c candidate) remove(ctx context.Context) error {
	n := c.removals.node
	if len(n.askHolders(ctx, c.net, c.manifest, c.holders, c.need)) < c.need {
		return errNotHeld
	}
	o, err := openOutgoing(c.file.Path, c.file.Stamp)
	if err != nil {
		return err
	}
	defer o.close()
	defer n.lib.withdraw(c.file.Video)()
	in := removalIntent{Path: c.file.Path, Video: c.file.Video.String(), Stamp: c.file.Stamp, Started: time.Now().UTC()}
	if err := n.storeIntent(in); err != nil {
		return err
	}
	err = o.setAside()
	if err == nil {
		err = c.deleteAside(ctx, o, &in)
	}
	if err != nil {
		return errors.Join(err, n.keep(o, in))
	}
	return n.removed(in)
}

// deleteAside deletes a file that is aside, unless anything speaks against it.
func (c candidate) deleteAside(ctx context.Context, o *outgoing, in *removalIntent) error {
	n := c.removals.node
	sure := n.askHolders(ctx, c.net, c.manifest, c.holders, c.need)
	if len(sure) < c.need {
		return errShared
	}
	c.removals.deciding.Lock()
	defer c.removals.deciding.Unlock()
	if allowed, err := c.allowed(sure); err != nil || !allowed {
		return errors.Join(errCalled, err)
	}
	in.Holders = n.listedSure(sure)
	if err := n.storeIntent(*in); err != nil {
		return err
	}
	if err := o.unchanged(); err != nil {
		return err
	}
	return o.unlink()
}

// allowed looks once more at what allows the removal.
func (c candidate) allowed(sure map[peer.ID]time.Time) (bool, error) {
	n := c.removals.node
	policy, watched := c.folder.policy()
	counted := 0
	for id := range sure {
		if policy.counts(id) && n.vouches(id) {
			counted++
		}
	}
	file, err := n.store.FileRecord(c.file.Path)
	if err != nil {
		return false, err
	}
	marked, err := n.isMarked(file)
	return marked && watched && policy.After > 0 && counted >= policy.After && file.Stamp == c.file.Stamp, err
}

// keep ends a removal whose file is not deleted.
func (n *Node) keep(o *outgoing, in removalIntent) error {
	path := in.Path
	if o.hidden != "" {
		var err error
		path, err = o.putBack()
		if o.hidden == "" && errors.Is(err, blockstore.ErrChanged) { // it has its name, and the watch tells of the rest
			return n.store.DropState(stateIntent, in.Path)
		}
		if err != nil {
			return fmt.Errorf("the file is at %s now: %w", asideName(in.Path), err)
		}
	}
	return n.notRemoved(in, path, o.stamp)
}
