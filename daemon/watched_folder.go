package daemon

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/watch"
)

// The states of a watched folder.
const (
	watchWatching    = "watching"
	watchScanning    = "scanning"    // what is there is being looked at
	watchUnavailable = "unavailable" // it is not there
	watchStopped     = "stopped"     // no daemon runs
	watchFailed      = "failed"      // it cannot be watched
)

const (
	// maxWatchFailures bounds the files that a folder is said to have trouble
	// with.
	maxWatchFailures = 100
	// noteEvery is how long what a look at many files found out about them may
	// wait to be stored together.
	noteEvery = time.Second
)

// watchedFolder is one watched folder. It is what watch.Folder asks (Seen) and
// tells (handle).
type watchedFolder struct {
	watching *watching
	node     *Node
	dir      string
	broken   string // why it cannot be watched
	started  bool   // by watching, under its mutex
	done     chan struct{}
	notes    watchNotes
	joint    watchJoint
	busy     atomic.Int32 // events that are dealt with; others may wait

	mu      sync.Mutex
	record  watchRecord
	removed bool               // it is watched no more
	cancel  context.CancelFunc // ends run; nil before it
	folder  *watch.Folder      // nil before run
	away    string             // why the folder is not there; empty if it is
	since   time.Time          // it is away
	adding  *watchAdding       // the file that was begun last of those that are being added
	failed  map[string]api.Failure
}

// watchAdding is how far the file is that is being added.
type watchAdding struct {
	adder adder
	path  string
	size  int64
	start time.Time
}

func newWatchedFolder(w *watching, dir string, rec watchRecord) *watchedFolder {
	return &watchedFolder{
		watching: w, node: w.node, dir: dir, record: rec, done: make(chan struct{}),
		notes: watchNotes{node: w.node}, failed: map[string]api.Failure{},
	}
}

// run watches the folder until ctx ends or it is watched no more. What goes
// wrong is told by listed.
func (f *watchedFolder) run(ctx context.Context) {
	defer close(f.done)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	folder, ok := f.begin(cancel)
	if !ok {
		return
	}
	stop := every(noteEvery, func() { f.node.logged("note watched files", f.notes.flush()) })
	err := folder.Run(ctx, f.handle)
	stop()
	f.node.logged("note watched files", f.notes.flush())
	f.node.logged("watch folder", err)
}

// begin makes ready to run, if that is still wanted.
func (f *watchedFolder) begin(cancel context.CancelFunc) (*watch.Folder, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.removed || f.broken != "" {
		return nil, false
	}
	log := f.node.log
	folder, err := watch.New(watch.Config{Dir: f.dir, Glob: f.record.Glob, Settle: f.record.Settle, Live: f.record.Live, Together: watchedTogether, Short: addAlone, Logger: log}, f)
	if err != nil {
		f.broken = err.Error()
		log.Error("folder is not watched", "dir", f.dir, "error", err)
		return nil, false
	}
	log.Info("watching folder", "dir", f.dir, "glob", f.record.Glob, "settle", f.settle(), "live", f.record.Live)
	f.folder, f.cancel = folder, cancel
	return folder, true
}

// end has run end, or not begin.
func (f *watchedFolder) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removed = true
	if f.cancel != nil {
		f.cancel()
	}
}

// ended waits until run has ended, after end, and tells whether it has. One that
// was never begun has.
func (f *watchedFolder) ended(ctx context.Context, patience time.Duration) bool {
	f.mu.Lock()
	begun := f.cancel != nil
	f.mu.Unlock()
	if !begun {
		return true
	}
	select {
	case <-f.done:
		return true
	case <-ctx.Done():
	case <-time.After(patience):
	}
	return false
}

func (f *watchedFolder) settle() time.Duration {
	if f.record.Settle == 0 {
		return watch.DefaultSettle
	}
	return f.record.Settle
}

func (f *watchedFolder) setRecord(rec watchRecord) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.record = rec
}

func (f *watchedFolder) stored() watchRecord {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.record
}

// Seen tells watch.Folder whether a file is known, and where it was.
//
// At the same path it is the same if size and both times are; then device and
// inode are taken over, which differ after some file systems are mounted again.
// If the change time alone differs it is hashed again, as by add: something may
// have put the other time back.
func (f *watchedFolder) Seen(path string, id watch.Identity) (was string, ok bool, err error) {
	stamp := blockstore.Stamp(id)
	rec, here, err := f.onRecord(path)
	if err != nil {
		return "", false, err
	}
	same := rec.Stamp
	same.Device, same.Inode = stamp.Device, stamp.Inode
	if here && same == stamp {
		return path, true, f.notes.known(path, stamp, rec.Stamp != stamp)
	}
	return f.renamed(path, stamp, here)
}

// renamed looks for a file by its inode. here tells whether another is on record
// at its path.
func (f *watchedFolder) renamed(path string, stamp blockstore.Stamp, here bool) (was string, ok bool, err error) {
	if err := f.notes.flush(); err != nil {
		return "", false, err
	}
	known, err := f.node.watchedAt(stamp)
	if found, err := found(known, err); err != nil || !found || !known.holds(stamp) {
		return "", false, err
	}
	if known.Forgotten || known.Path == path {
		return known.Path, known.Forgotten && !here, nil
	}
	rec, there, err := f.onRecord(known.Path)
	return known.Path, there && sameFile(rec.Stamp, stamp), err
}

// sameFile compares all of two stamps but the change times, which renaming sets.
func sameFile(a, b blockstore.Stamp) bool {
	a.ChangeTime = b.ChangeTime
	return a == b
}

// onRecord is what the index has at a path.
func (f *watchedFolder) onRecord(path string) (rec blockstore.File, ok bool, err error) {
	rec, err = f.node.store.FileRecord(path)
	ok, err = found(rec, err)
	return rec, ok, err
}

// listed is the folder for the user.
func (f *watchedFolder) listed(running bool) api.Watch {
	f.mu.Lock()
	out := api.Watch{
		Dir: f.dir, Glob: append([]string{}, f.record.Glob...), Settle: f.settle().Seconds(),
		Added: f.record.Added, Last: f.record.Last, Live: f.record.Live, Recording: f.node.recordings.listedIn(f.dir),
		RemoveAfter: f.record.Remove.After, RemoveHolders: f.node.listedHolders(f.record.Remove),
		Removed: f.record.Removed, LastRemoved: f.record.LastRemoved,
	}
	out.State, out.Message = f.state(running)
	if out.State == watchUnavailable {
		out.Since = &f.since
	}
	if a := f.adding; a != nil {
		out.Adding = a.progress()
	}
	failed := slices.SortedFunc(maps.Values(f.failed), func(a, b api.Failure) int { return strings.Compare(a.Path, b.Path) })
	f.mu.Unlock()
	for _, one := range failed {
		if _, err := os.Lstat(one.Path); err == nil { // else there is nothing to be added any more
			out.Failed = append(out.Failed, one)
		}
	}
	return out
}

// state also says why. The caller holds mu.
func (f *watchedFolder) state(running bool) (state, message string) {
	switch {
	case f.broken != "":
		return watchFailed, f.broken
	case !running || f.removed:
		return watchStopped, ""
	case f.away != "":
		return watchUnavailable, f.away
	case f.folder == nil || !f.folder.Scanned():
		return watchScanning, ""
	}
	return watchWatching, ""
}

func (a *watchAdding) progress() *api.Progress {
	p := api.Progress{Phase: "hashing", Name: a.path, Done: a.adder.current.Load(), Size: a.size, ETASeconds: -1, Peers: []api.PeerShare{}}
	p.BytesPerSecond = perSecond(p.Done, time.Since(a.start))
	if p.BytesPerSecond > 0 {
		p.ETASeconds = float64(p.Size-p.Done) / p.BytesPerSecond
	}
	return &p
}

// perSecond is a rate, 0 where there was no time.
func perSecond(n int64, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return float64(n) / took.Seconds()
}
