package assemble

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// noteKind is the kind of the state records that say which copies are about to
// get their names. The key is the path, the value a copyNote.
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
	return blockstore.StoreState(noteKind, path, value)
}

func forgetNote(path string) blockstore.Change { return blockstore.ForgetState(noteKind, path) }

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
		was, err := settleNote(store, r)
		if err != nil {
			errs = append(errs, fmt.Errorf("copy %s: %w", r.Key, err))
		}
		if was {
			removed = append(removed, r.Key)
		}
	}
	return removed, errors.Join(errs...)
}

// settleNote tells whether it removed the copy that a note speaks of.
func settleNote(store *blockstore.Store, r blockstore.StateRecord) (removed bool, err error) {
	var note copyNote
	if err := json.Unmarshal(r.Value, &note); err != nil {
		return false, errors.Join(err, store.DropState(noteKind, r.Key))
	}
	info, err := os.Lstat(r.Key)
	switch {
	case errors.Is(err, fs.ErrNotExist) && isAway(filepath.Dir(r.Key), note.Device):
		return false, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, err
	case err == nil && info.Mode().IsRegular() && note.isOf(blockstore.StampOf(info)) && !isRecorded(store, r.Key):
		if err := removeNoted(store, r.Key); err != nil {
			return false, ignoreLocked(err)
		}
		removed = true
	}
	return removed, store.DropState(noteKind, r.Key)
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
func removeNoted(store *blockstore.Store, path string) error {
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
