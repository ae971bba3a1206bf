package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
)

// rebuildSuffix is put behind the name of the journal that an index is made
// from. It stays until that is done, so that a rebuild can be begun again.
const rebuildSuffix = ".rebuild"

// Rebuild makes a home's index anew: from its journal, which says what lay
// where, and from the folder of fetched videos. Every file is read and hashed,
// and counts only if it is what the journal says. The old index is set aside,
// never deleted; identity, trust and settings are not touched. No other process
// may use the home. What a rebuild that was interrupted has done is kept.
func Rebuild(ctx context.Context, cfg Config, emit func(api.Progress)) (result api.Rebuilt, err error) {
	if result.SetAside, err = setIndexAside(cfg.Paths); err != nil {
		return result, err
	}
	n, err := Open(ctx, cfg)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	r := rebuilder{node: n, result: &result}
	stop := r.report(emit)
	defer stop()
	if err := r.fromJournal(ctx, cfg.Paths.Journal+rebuildSuffix); err != nil {
		return result, err
	}
	if err := r.fromVideos(ctx, cfg.Paths.Videos); err != nil {
		return result, err
	}
	return result, putAway(cfg.Paths.Journal, len(result.Failed) > 0)
}

// putAway ends a rebuild. The old journal is kept beside the new one if files
// that it names are not what they were: their disk may come back.
func putAway(journal string, keep bool) error {
	pending := journal + rebuildSuffix
	var err error
	if keep {
		err = os.Rename(pending, journal+".old")
	} else {
		err = os.Remove(pending)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("end of rebuild: %w", err)
	}
	return nil
}

// setIndexAside keeps the journal from being written on, then moves the index
// out of the way. An index that an interrupted rebuild has begun is kept if it
// can be opened.
func setIndexAside(p Paths) (moved string, err error) {
	lock, err := lockHome(p.Lock)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	pending := p.Journal + rebuildSuffix
	if _, err := os.Lstat(pending); err == nil && opens(p.Index) {
		return "", nil
	}
	err = os.Rename(p.Journal, pending)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("rebuild: %w", err)
	}
	moved, err = blockstore.SetAside(p.Index, time.Now())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("set index aside: %w", err)
	}
	return moved, nil
}

func opens(index string) bool {
	s, err := blockstore.Open(index, blockstore.Config{})
	return err == nil && s.Close() == nil
}

// rebuilder is the state of one Rebuild.
type rebuilder struct {
	node   *Node
	result *api.Rebuilt
	done   atomic.Int64
	name   atomic.Pointer[string]
}

// report emits progress until the returned function is called.
func (r *rebuilder) report(emit func(api.Progress)) (stop func()) {
	if emit == nil {
		return func() {}
	}
	m := newMeter()
	return every(progressEvery, func() {
		p := m.progress("hashing", r.done.Load(), 0)
		if name := r.name.Load(); name != nil {
			p.Name = *name
		}
		emit(p)
	})
}

func (r *rebuilder) fail(path string, err error) {
	r.result.Failed = append(r.result.Failed, failure(path, err))
}

// fromJournal adds every file that the journal names and that is still what it
// was, and queues the fetches that had not ended.
func (r *rebuilder) fromJournal(ctx context.Context, path string) error {
	for entry, err := range blockstore.ReadJournal(path) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			r.fail(path, err)
		case entry.Job.ID != "":
			if err := r.queue(entry.Job); err != nil {
				return err
			}
		default:
			if err := r.restore(ctx, entry); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *rebuilder) queue(job blockstore.Job) error {
	if _, err := r.node.store.Job(job.ID); err == nil {
		return nil // queued by an earlier try
	}
	now := time.Now().UTC()
	job.State, job.Created, job.Updated = stateQueued, now, now
	if err := r.node.store.PutJob(job); err != nil {
		return err
	}
	r.result.Jobs++
	return nil
}

// restore adds a file again under what it was known as. What has become of a
// file is told and does not end the rebuild; trouble with the index does.
func (r *rebuilder) restore(ctx context.Context, entry blockstore.JournalEntry) error {
	path := entry.File.Path
	file, err := openRegular(path)
	if err != nil {
		r.fail(path, err)
		return nil
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		r.fail(path, err)
		return nil
	}
	f := entry.File
	f.Stamp = blockstore.StampOf(info)
	if known, err := r.node.store.FileAt(path); err == nil && known.Stamp == f.Stamp {
		r.count(known.Stamp.Size)
		return nil
	}
	if f.Stamp.Size != entry.File.Stamp.Size {
		r.fail(path, api.Errorf(api.CodeUnavailable, "has changed since it was added; add it again"))
		return nil
	}
	r.name.Store(&entry.Video.Name)
	_, err = r.node.hash(ctx, file, f, entry.Video, func(n int64) { r.done.Add(n) })
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && failure(path, err).Code == api.CodeNoSpace:
		return err
	case err != nil:
		r.fail(path, err)
		return nil
	}
	r.count(f.Stamp.Size)
	return nil
}

func (r *rebuilder) count(size int64) {
	r.result.Videos++
	r.result.Bytes += size
}

// fromVideos adds what lies in the folder of fetched videos and is not known
// yet: of these the journal was lost or damaged.
func (r *rebuilder) fromVideos(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	files, failed := walkFolder(ctx, dir)
	r.result.Failed = append(r.result.Failed, failed...)
	for _, f := range files {
		if _, err := r.node.store.FileAt(f.path); err == nil {
			continue
		}
		entry := blockstore.JournalEntry{
			File:  blockstore.File{Path: f.path, Origin: blockstore.Fetched, Stamp: blockstore.Stamp{Size: f.size}},
			Video: blockstore.Video{Name: filepath.Base(f.path), MediaType: mediaType(f.path)},
		}
		if err := r.restore(ctx, entry); err != nil {
			return err
		}
	}
	return ctx.Err()
}
