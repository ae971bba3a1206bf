package assemble

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// noteKind is the kind of the state records that say which copies are about to
// get their names. The key is the path, a zero byte and the inode number, for two
// may want one name; the value is a copyNote.
const noteKind = "copy"

// copyNote tells a copy from other files that may have its name: renaming
// changes none of this.
type copyNote struct {
	Size    int64  `json:"size"`
	ModTime int64  `json:"mtime"`
	Inode   uint64 `json:"inode"`
	Device  uint64 `json:"device"`
}

// copyIndex is every way in which a copy changes the index.
type copyIndex interface {
	Apply(changes ...blockstore.Change) error
	Commit(im *blockstore.Import, m *manifest.Manifest, f blockstore.File, v blockstore.Video, changes ...blockstore.Change) error
}

type storeIndex struct{ *blockstore.Store }

func (storeIndex) Commit(im *blockstore.Import, m *manifest.Manifest, f blockstore.File, v blockstore.Video, changes ...blockstore.Change) error {
	return im.Commit(m, f, v, changes...)
}

func noteOf(s blockstore.Stamp) copyNote {
	return copyNote{Size: s.Size, ModTime: s.ModTime, Inode: s.Inode, Device: s.Device}
}

// isOf tells whether the stamp is of the copy. A file system may have another
// device number once it is mounted again.
func (n copyNote) isOf(s blockstore.Stamp) bool {
	return n.Size == s.Size && n.ModTime == s.ModTime && n.Inode == s.Inode
}

func storeNote(path string, s blockstore.Stamp) blockstore.Change {
	value, err := json.Marshal(noteOf(s))
	if err != nil {
		panic("assemble: internal error: encode note of a copy: " + err.Error())
	}
	return blockstore.StoreState(noteKind, noteKey(path, s), value)
}

func forgetNote(path string, s blockstore.Stamp) blockstore.Change {
	return blockstore.ForgetState(noteKind, noteKey(path, s))
}

func noteKey(path string, s blockstore.Stamp) string { return fmt.Sprintf("%s\x00%d", path, s.Inode) }

// SweepNoted removes the copies that have their names, but were not recorded
// before the process was killed, and returns their paths. A copy whose file
// system is away is looked for again next time, and so is one that is still
// being written. It is cheap if there is nothing to do.
func SweepNoted(store *blockstore.Store) (removed []string, err error) {
	var errs []error
	for r, err := range store.States(noteKind, "") {
		if err != nil {
			return removed, errors.Join(append(errs, err)...)
		}
		path, _, _ := strings.Cut(r.Key, "\x00")
		was, settled, err := settleNote(store, path, r.Value)
		if settled {
			err = errors.Join(err, store.DropState(noteKind, r.Key))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("copy %s: %w", path, err))
		}
		if was {
			removed = append(removed, path)
		}
	}
	return removed, errors.Join(errs...)
}

// settleNote tells whether it removed the copy that a note speaks of, and
// whether the note has done its work.
func settleNote(store *blockstore.Store, path string, value []byte) (removed, settled bool, err error) {
	var note copyNote
	if err := json.Unmarshal(value, &note); err != nil {
		return false, true, err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, !isAway(filepath.Dir(path), note.Device), nil
	case err != nil:
		return false, false, err
	case !info.Mode().IsRegular(), !note.isOf(blockstore.StampOf(info)), isRecorded(store, path):
		return false, true, nil
	}
	if err := removeNoted(path); err != nil {
		return false, false, ignoreLocked(err)
	}
	return true, true, nil
}

// isAway tells whether the file system on which a folder was is not there now.
func isAway(dir string, device uint64) bool {
	info, err := os.Stat(dir)
	return err != nil || blockstore.StampOf(info).Device != device
}

func isRecorded(store *blockstore.Store, path string) bool {
	_, err := store.FileRecord(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// removeNoted removes a copy unless it is being written, durably.
func removeNoted(path string) error {
	if err := removeStale(path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func ignoreLocked(err error) error {
	if errors.Is(err, errLocked) {
		return nil
	}
	return err
}
