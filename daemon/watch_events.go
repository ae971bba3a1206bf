package daemon

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/watch"
)

// handle does what follows from an event. After an error the same event comes
// again later.
func (f *watchedFolder) handle(ctx context.Context, e watch.Event) error {
	f.busy.Add(1)
	defer f.busy.Add(-1)
	var err error
	switch e.Kind {
	case watch.Growing:
		err = f.growing(e)
	case watch.Finished:
		err = f.finished(ctx, e)
	case watch.Moved:
		err = f.movedTo(e)
	case watch.Gone:
		err = f.gone(e)
	case watch.Unavailable:
		f.setAway(e.Reason)
		return nil
	case watch.Available:
		f.setAway("")
		return nil
	}
	if ctx.Err() == nil {
		f.note(e.Path, err)
	}
	return err
}

func (f *watchedFolder) setAway(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away, f.since = reason, time.Now().UTC()
	if reason != "" {
		clear(f.failed)
	}
}

// note remembers the trouble with a file, or that there is none any more.
func (f *watchedFolder) note(path string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.failed, path)
		return
	}
	if _, known := f.failed[path]; known || len(f.failed) < maxWatchFailures {
		f.failed[path] = failure(path, err)
	}
}

// finished adds a file as add does, once it is its turn.
func (f *watchedFolder) finished(ctx context.Context, e watch.Event) error {
	if !utf8.ValidString(e.Path) {
		return api.Errorf(api.CodeUsage, "%q is not valid UTF-8; rename it", e.Path)
	}
	turns := f.watching.hashing
	if e.Identity.Size < addAlone {
		turns = f.watching.short
	}
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
	case <-ctx.Done():
		return ctx.Err()
	}
	old, _, err := f.onRecord(e.Path)
	if err != nil {
		return err
	}
	recording, err := f.settleRecording(ctx, e)
	if err != nil {
		return err
	}
	now := f.beginAdding(e)
	defer f.endAdding(now)
	now.adder.recording = recording
	v, err := now.adder.index(ctx, e.Path, filepath.ToSlash(e.RelPath), filepath.Base(e.Path), blockstore.Added)
	if err != nil {
		return err
	}
	again, err := f.storeAdded(e.Path, old, v)
	if err == nil {
		err = f.node.recordings.finished(e.Path, v)
	}
	if err != nil {
		return err
	}
	took := time.Since(now.start)
	said := []any{"cid", v.CID, "path", e.Path, "bytes", v.Size, "took", took.Round(time.Millisecond), "rate", FormatRate(int64(perSecond(v.Size, took)))}
	if again {
		f.node.log.Info("file was touched and is the same video still", said...)
		return nil
	}
	f.node.log.Info("added", append(said, "because", e.Reason)...)
	return nil
}

func (f *watchedFolder) beginAdding(e watch.Event) *watchAdding {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.adding = &watchAdding{adder: adder{node: f.node}, path: e.Path, size: e.Identity.Size, start: time.Now()}
	return f.adding
}

func (f *watchedFolder) endAdding(ended *watchAdding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.adding == ended {
		f.adding = nil
	}
}

// storeAdded remembers a file that is in the index now. old is what was on record
// at its path before. It tells whether that was the same video, and so none is new.
func (f *watchedFolder) storeAdded(path string, old blockstore.File, v blockstore.Video) (again bool, err error) {
	rec, err := f.node.store.FileRecord(path)
	if err != nil {
		return false, err
	}
	change, err := storeWatched(newWatchedFile(path, rec.Stamp), rec.Stamp)
	if err != nil {
		return false, err
	}
	changes := []blockstore.Change{change}
	was, err := f.node.watchedAt(old.Stamp)
	known, err := found(was, err)
	if err != nil {
		return false, err
	}
	known = known && was.Path == path
	if known && watchedKey(old.Stamp) != watchedKey(rec.Stamp) {
		changes = append(changes, blockstore.ForgetState(stateWatched, watchedKey(old.Stamp)))
	}
	again = known && old.Video == v.CID
	mark, err := f.node.markOf(rec, old, again)
	if err != nil {
		return again, err
	}
	defer notify(f.node.removals.due)
	done := &watchAdded{changes: append(changes, mark...)}
	if !again {
		done.last = &api.WatchedVideo{CID: v.CID.String(), Path: path, Time: time.Now().UTC()}
	}
	return again, f.joint.store(f, done)
}

// movedTo has everything that is known of a file follow it to another path. What
// `vidsync rm` forgot stays forgotten.
func (f *watchedFolder) movedTo(e watch.Event) error {
	if grows, err := f.node.recordings.rename(e.From, e.Path, e.RelPath); grows || err != nil {
		return err
	}
	stamp := blockstore.Stamp(e.Identity)
	now := newWatchedFile(e.Path, stamp)
	rec, known, err := f.onRecord(e.From)
	if err != nil {
		return err
	}
	if !known {
		was, err := f.node.watchedAt(stamp)
		if err != nil || !was.Forgotten {
			return api.Errorf(api.CodeUnavailable, "nothing is known any more of %s, which it was", e.From)
		}
		now.Forgotten = true
	}
	change, err := storeWatched(now, stamp)
	if err != nil {
		return err
	}
	f.note(e.From, nil)
	if !known {
		return f.node.store.Apply(change)
	}
	mark, err := f.node.movedMark(rec, e.Path)
	if err != nil {
		return err
	}
	if err := f.node.moveFile(rec, e.Path, filepath.ToSlash(e.RelPath), stamp, append(mark, change)...); err != nil {
		return err
	}
	f.node.log.Info("file was renamed", "cid", rec.Video, "from", e.From, "path", e.Path)
	return nil
}

// gone forgets a file that nothing else knows. All others may come back.
func (f *watchedFolder) gone(e watch.Event) error {
	if err := f.node.recordings.lost(e.Path); err != nil {
		return err
	}
	rec, known, err := f.onRecord(e.Path)
	if err != nil {
		return err
	}
	if _, leaving := f.node.lib.isWithdrawn(rec.Video); known && leaving {
		return nil // it is being removed, or will be back
	}
	if known {
		f.node.log.Info("file is gone", "cid", rec.Video, "path", e.Path)
		return nil
	}
	stamp := blockstore.Stamp(e.Identity)
	if was, err := f.node.watchedAt(stamp); err != nil || was.Path != e.Path {
		_, err = found(was, err)
		return err
	}
	return f.node.store.DropState(stateWatched, watchedKey(stamp))
}

// moveFile takes note that a file on record has another path now. If its video
// was named for the old path, it is named for the new one.
func (n *Node) moveFile(rec blockstore.File, path, relative string, stamp blockstore.Stamp, with ...blockstore.Change) error {
	if err := n.store.MoveFile(rec.Path, path, stamp, with...); err != nil {
		return err
	}
	v, err := n.store.Video(rec.Video)
	if known, err := found(v, err); err != nil || !known {
		return err
	}
	if v.Name == filepath.Base(rec.Path) {
		v.Name = filepath.Base(path)
	}
	if strings.HasSuffix(filepath.ToSlash(rec.Path), "/"+v.RelPath) {
		v.RelPath = relative
	}
	return errors.Join(n.store.PutVideo(v), n.damage.moved(rec.Path, path, stamp))
}
