package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/vidsync/vidsync/blockstore"
)

// lost ends a recording whose file is gone before it was finished. Who follows is
// told, and keeps what came.
func (l *recordings) lost(path string) error {
	l.stop(path)
	defer l.drop(path)
	rec, err := l.record(path)
	if known, err := found(rec, err); err != nil || !known {
		return err
	}
	v, err := l.listed(rec)
	if err != nil {
		return err
	}
	if v.CID.Defined() {
		v.State = videoEnded
		if err := l.store.PutVideo(v); err != nil {
			return err
		}
		l.log.Warn("recording is gone before it was finished", "path", path, "offered", v.Size)
	}
	return l.store.DropState(stateRecording, path)
}

// finished puts the finished video in the place of the recording that it was.
func (l *recordings) finished(path string, whole blockstore.Video) error {
	l.stop(path)
	defer l.drop(path)
	rec, err := l.record(path)
	if known, err := found(rec, err); err != nil || !known {
		return err
	}
	old, err := l.listed(rec)
	if err != nil {
		return err
	}
	named := withRecording(whole.Recording, rec.ID)
	if old.CID.Defined() && old.CID != whole.CID || named != whole.Recording {
		whole.Recording = named
		if err := l.store.ReplaceVideo(old.CID, whole); err != nil {
			return err
		}
	}
	return l.store.DropState(stateRecording, path)
}

// endVanished ends the recordings whose end was missed: the file was finished and
// added, or is gone, or nobody watches it any more. before are the files that
// were gone one look ago, and now those that are: a card may just have been taken
// out, and its folder's watch not know so yet.
func (l *recordings) endVanished(ctx context.Context, before map[string]bool) (now map[string]bool, err error) {
	now = map[string]bool{}
	for s, err := range l.store.States(stateRecording, "") {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return now, err
		}
		gone, err := l.endIfVanished(s.Key, before[s.Key])
		if err != nil {
			return now, fmt.Errorf("recording %s: %w", s.Key, err)
		}
		if gone {
			now[s.Key] = true
		}
	}
	return now, nil
}

func (l *recordings) isActive(path string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active[path] != nil
}

// endIfVanished looks at one recording. It tells whether the file is gone, and
// ends it if it was before.
func (l *recordings) endIfVanished(path string, before bool) (gone bool, err error) {
	if f, err := l.store.FileAt(path); err == nil && !l.isActive(path) {
		whole, err := l.store.Video(f.Video)
		if err != nil {
			return false, err
		}
		return false, l.finished(path, whole)
	}
	present, watched := l.present(path)
	if !watched {
		return false, l.lost(path)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) || !present {
		return false, nil
	}
	if !before {
		return true, nil
	}
	return false, l.lost(path)
}

// endBelow ends the recordings in a folder that nobody watches any more.
func (l *recordings) endBelow(dir string) error {
	for s, err := range l.store.States(stateRecording, "") {
		if err != nil {
			return err
		}
		if !isBelow(s.Key, dir) {
			continue
		}
		if err := l.lost(s.Key); err != nil {
			return fmt.Errorf("recording %s: %w", s.Key, err)
		}
	}
	return nil
}
