package daemon

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/watch"
)

// rename has a recording follow its file to another path. It tells whether there
// is one. One that was at that path has lost its file.
func (l *recordings) rename(from, to, relative string) (bool, error) {
	rec, err := l.record(from)
	if known, err := found(rec, err); err != nil || !known {
		return false, err
	}
	if err := l.lost(to); err != nil {
		return true, err
	}
	l.mu.Lock()
	r := l.active[from]
	goesOn := r != nil && !r.stopped
	l.mu.Unlock()
	l.stop(from) // what it is about to publish would be stored under the old path
	err = l.moveRecord(rec, from, to)
	l.mu.Lock()
	defer l.mu.Unlock()
	if r == nil || l.active[from] != r {
		return true, err
	}
	if err == nil {
		delete(l.active, from)
		l.active[to] = r
		r.mu.Lock()
		r.path, r.relative = to, relative
		r.mu.Unlock()
	}
	if goesOn {
		l.restart(r)
	}
	return true, err
}

// moveRecord stores a record under another path, and nothing under its old one,
// in one step: of two the one would be ended for want of a file.
func (l *recordings) moveRecord(rec recordingRecord, from, to string) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return l.store.Apply(blockstore.StoreState(stateRecording, to, data), blockstore.ForgetState(stateRecording, from))
}

// findMoved has a recording follow its file that was renamed while nobody looked.
func (l *recordings) findMoved(path, relative string, id watch.Identity) error {
	if _, err := l.record(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for s, err := range l.store.States(stateRecording, "") {
		if err != nil {
			return err
		}
		var rec recordingRecord
		if err := json.Unmarshal(s.Value, &rec); err != nil || filepath.Dir(s.Key) != filepath.Dir(path) {
			continue
		}
		if _, err := os.Lstat(s.Key); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if same, err := l.isRecorded(rec, id); err != nil || !same {
			if err != nil {
				return err
			}
			continue
		}
		_, err = l.rename(s.Key, path, relative)
		return err
	}
	return nil
}

// isRecorded tells whether a file is the one of a record. What is shorter than
// what was offered is none that was renamed.
func (l *recordings) isRecorded(rec recordingRecord, id watch.Identity) (bool, error) {
	v, err := l.listed(rec)
	if err != nil {
		return false, err
	}
	return rec.Inode == id.Inode && id.Size >= v.Size, nil
}
