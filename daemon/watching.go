package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
)

const (
	// stateWatch is the kind of the records that say which folders are watched;
	// the key is the path.
	stateWatch = "watch"

	// maxWatches bounds the watched folders. Linux gives a user 128 instances of
	// inotify, of which each takes one.
	maxWatches = 64
	// minSettle and maxSettle are what a user may ask for.
	minSettle = 100 * time.Millisecond
	maxSettle = 24 * time.Hour

	// watchedHashing is how many files of watched folders are hashed at once,
	// of each folder one.
	watchedHashing = 2
	// watchedTogether is how many files shorter than addAlone are added beside
	// them, of one folder or several.
	watchedTogether = addTogether
	// watchEndPatience is how long a folder that is watched no more may take to
	// end; a dead network mount takes forever.
	watchEndPatience = 10 * time.Second
)

// watching is the list of watched folders and, while a daemon runs, what adds
// the files that appear in them.
type watching struct {
	node    *Node
	hashing chan struct{} // holds a value for each file that is being hashed
	short   chan struct{} // as does this for short ones
	changed chan struct{} // has a value when a folder may wait to be started

	adding  sync.Mutex // one at a time, so that two are not added one in the other
	mu      sync.Mutex
	running bool
	folders map[string]*watchedFolder // by path
}

// watchRecord is what is stored of a watched folder.
type watchRecord struct {
	Glob   []string          `json:"glob,omitempty"`
	Settle time.Duration     `json:"settle_ns,omitempty"`
	Live   bool              `json:"live,omitempty"`
	Added  int64             `json:"added,omitempty"`
	Last   *api.WatchedVideo `json:"last,omitempty"`

	Remove      removalPolicy `json:"remove,omitzero"`
	Removed     int64         `json:"removed,omitempty"`
	LastRemoved *api.Removal  `json:"last_removed,omitempty"`
}

// openWatching reads the list. A record that cannot be read is kept as a folder
// that failed, so that it can be removed.
func openWatching(n *Node) (*watching, error) {
	w := &watching{
		node: n, folders: map[string]*watchedFolder{},
		hashing: make(chan struct{}, watchedHashing), short: make(chan struct{}, watchedTogether), changed: make(chan struct{}, 1),
	}
	for stored, err := range n.store.States(stateWatch, "") {
		if err != nil {
			return nil, fmt.Errorf("read watched folders: %w", err)
		}
		f := newWatchedFolder(w, stored.Key, watchRecord{})
		if err := json.Unmarshal(stored.Value, &f.record); err != nil {
			f.broken = fmt.Sprintf("its record cannot be read (%v); remove it and add it again", err)
			n.log.Error("folder is not watched", "dir", f.dir, "error", f.broken)
		}
		w.folders[f.dir] = f
	}
	return w, nil
}

// run watches all folders, those that are added meanwhile too, until ctx ends.
func (w *watching) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	w.setRunning(true)
	defer w.setRunning(false)
	for {
		for _, f := range w.unstarted() {
			g.Go(func() error {
				f.run(ctx)
				return nil
			})
		}
		select {
		case <-w.changed:
		case <-ctx.Done():
			return g.Wait()
		}
	}
}

func (w *watching) setRunning(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = on
}

// unstarted are the folders that run has not started, and starts now.
func (w *watching) unstarted() []*watchedFolder {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []*watchedFolder
	for _, f := range w.folders {
		if !f.started {
			f.started = true
			found = append(found, f)
		}
	}
	return found
}

// add stores a folder and has it started.
func (w *watching) add(dir string, rec watchRecord) (*watchedFolder, error) {
	w.adding.Lock()
	defer w.adding.Unlock()
	others, _ := w.all()
	if err := checkApart(dir, slices.Sorted(maps.Keys(others))); err != nil {
		return nil, err
	}
	if len(others) >= maxWatches {
		return nil, api.Errorf(api.CodeUsage, "%d folders are watched, more are not possible; watch a folder that holds several of them", maxWatches)
	}
	value, err := json.Marshal(rec)
	if err == nil {
		err = w.node.store.PutState(stateWatch, dir, value)
	}
	if err != nil {
		return nil, fmt.Errorf("store watched folder: %w", err)
	}
	f := newWatchedFolder(w, dir, rec)
	w.mu.Lock()
	w.folders[dir] = f
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default: // run is to look already
	}
	return f, nil
}

// drop takes a folder off the list and ends it.
func (w *watching) drop(dir string) (*watchedFolder, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.folders[dir]
	if f == nil {
		return nil, api.Errorf(api.CodeNotFound, "%s is not watched; see: vidsync watch ls", dir)
	}
	if err := w.node.store.DropState(stateWatch, dir); err != nil {
		return nil, err
	}
	delete(w.folders, dir)
	f.end()
	return f, nil
}

// edit changes a folder's record and stores it together with other changes. Of a
// folder that is watched no more nothing is stored, and watched is false.
func (w *watching) edit(f *watchedFolder, change func(*watchRecord), with ...blockstore.Change) (watched bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.folders[f.dir] != f {
		return false, nil
	}
	rec := f.stored()
	change(&rec)
	value, err := json.Marshal(rec)
	if err != nil {
		return true, err
	}
	if err := w.node.store.Apply(append(with, blockstore.StoreState(stateWatch, f.dir, value))...); err != nil {
		return true, err
	}
	f.setRecord(rec)
	return true, nil
}

// all are the watched folders, and whether they are started.
func (w *watching) all() (folders map[string]*watchedFolder, running bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.folders), w.running
}

// Watches lists the watched folders.
func (n *Node) Watches(context.Context) ([]api.Watch, error) {
	folders, running := n.watching.all()
	out := []api.Watch{}
	for _, dir := range slices.Sorted(maps.Keys(folders)) {
		out = append(out, folders[dir].listed(running))
	}
	return out, nil
}

// AddWatch watches a folder from now on, or changes how it is watched.
func (n *Node) AddWatch(ctx context.Context, req api.AddWatchRequest) (api.Watch, error) {
	if err := checkWatch(req); err != nil {
		return api.Watch{}, err
	}
	dir := filepath.Clean(req.Dir)
	if old := n.watching.at(dir); old != nil && changes(req) {
		return n.changeWatch(ctx, old, req)
	}
	policy, err := n.changedPolicy(removalPolicy{}, req)
	if err != nil {
		return api.Watch{}, err
	}
	f, err := n.watching.add(dir, watchRecord{Glob: req.Glob, Settle: req.Settle, Live: req.Live != nil && *req.Live, Remove: policy})
	if err != nil {
		return api.Watch{}, err
	}
	_, running := n.watching.all()
	return f.listed(running), nil
}

// RemoveWatch watches a folder no more. What was added stays.
func (n *Node) RemoveWatch(ctx context.Context, dir string) (api.Watch, error) {
	if !filepath.IsAbs(dir) {
		return api.Watch{}, api.Errorf(api.CodeUsage, "%q is not an absolute path", dir)
	}
	f, err := n.watching.drop(filepath.Clean(dir))
	if err != nil {
		return api.Watch{}, err
	}
	n.removals.settled()
	last := f.listed(false)
	if !f.ended(ctx, watchEndPatience) {
		n.log.Warn("folder is watched no more, but its file system does not answer", "dir", f.dir)
		return last, nil
	}
	return last, errors.Join(n.recordings.endBelow(f.dir), n.forgetWatched(f.dir))
}

// checkWatch checks what a user wants to watch.
func checkWatch(req api.AddWatchRequest) error {
	if !filepath.IsAbs(req.Dir) {
		return api.Errorf(api.CodeUsage, "%q is not an absolute path", req.Dir)
	}
	if len(req.Dir) > blockstore.MaxStateKey {
		return api.Errorf(api.CodeUsage, "the path is over %d bytes", blockstore.MaxStateKey)
	}
	if req.Settle != 0 && (req.Settle < minSettle || req.Settle > maxSettle) {
		return api.Errorf(api.CodeUsage, "a file cannot be given %s to settle, only %s to %s", req.Settle, minSettle, maxSettle)
	}
	if len(req.Glob) > maxGlobs {
		return api.Errorf(api.CodeUsage, "%d patterns, at most %d are possible", len(req.Glob), maxGlobs)
	}
	for _, pattern := range req.Glob {
		if err := checkGlob(pattern); err != nil {
			return err
		}
	}
	info, err := os.Stat(req.Dir)
	switch {
	case err == nil && !info.IsDir():
		return api.Errorf(api.CodeUsage, "%s is not a folder", req.Dir)
	case err == nil:
		err = readable(req.Dir)
	}
	if err != nil {
		f := failure(req.Dir, err)
		return api.Errorf(f.Code, "watch %s: %s", req.Dir, f.Error)
	}
	return nil
}

// readable tells why the names in a folder cannot be read.
func readable(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close() // read only: nothing to lose
	if _, err := f.Readdirnames(1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// checkGlob checks one pattern. Only names are held against it, so one with a
// separator would never match.
func checkGlob(pattern string) error {
	_, err := path.Match(pattern, "")
	switch {
	case err != nil:
		return api.Errorf(api.CodeUsage, "pattern %q: %w; write one like *.mp4", pattern, err)
	case pattern == "" || len(pattern) > maxGlobBytes:
		return api.Errorf(api.CodeUsage, "pattern of %d bytes, 1 to %d are possible", len(pattern), maxGlobBytes)
	case strings.Contains(pattern, "/"):
		return api.Errorf(api.CodeUsage, "pattern %q has a /, but is held against names alone; write one like *.mp4", pattern)
	}
	return nil
}
