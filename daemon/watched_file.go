package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/blockstore"
)

// stateWatched is the kind of the records of files in watched folders that were
// dealt with. The key is device and inode, so that a file is found under its old
// path after it was renamed.
const stateWatched = "watched"

// watchedFile is what is stored of such a file.
type watchedFile struct {
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	ModTime int64  `json:"mtime_ns"`
	// Forgotten files were taken out of the index by `vidsync rm`, and are not to
	// be added again. That no file is on record at Path does not mean this: then
	// the file is hashed again.
	Forgotten bool `json:"forgotten,omitempty"`
}

func newWatchedFile(path string, st blockstore.Stamp) watchedFile {
	return watchedFile{Path: path, Size: st.Size, ModTime: st.ModTime}
}

// holds tells whether the file that has the inode now is the one of the record.
func (f watchedFile) holds(st blockstore.Stamp) bool {
	return f.Size == st.Size && f.ModTime == st.ModTime
}

func watchedKey(st blockstore.Stamp) string { return fmt.Sprintf("%x-%x", st.Device, st.Inode) }

// storeWatched is the change that remembers a file, which has that stamp.
func storeWatched(f watchedFile, st blockstore.Stamp) (blockstore.Change, error) {
	value, err := json.Marshal(f)
	return blockstore.StoreState(stateWatched, watchedKey(st), value), err
}

// watchedAt is what is remembered of the file with a stamp's inode;
// fs.ErrNotExist if there is nothing. A record that cannot be read counts as
// none: it is written anew.
func (n *Node) watchedAt(st blockstore.Stamp) (f watchedFile, err error) {
	value, err := n.store.State(stateWatched, watchedKey(st))
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(value, &f); err != nil {
		return watchedFile{}, fmt.Errorf("record of a watched file: %w", fs.ErrNotExist)
	}
	return f, nil
}

// remembered tells whether a file is remembered just like that.
func (n *Node) remembered(path string, st blockstore.Stamp) (bool, error) {
	f, err := n.watchedAt(st)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return f == newWatchedFile(path, st), err
}

// markForgotten remembers that the files of a video, which leaves the index, are
// not to be added again.
func (n *Node) markForgotten(video cid.Cid) error {
	files, err := n.store.Files(video)
	if err != nil {
		return err
	}
	for _, file := range files {
		f, err := n.watchedAt(file.Stamp)
		known, err := found(f, err)
		if err != nil {
			return err
		}
		if !known || f.Path != file.Path {
			continue
		}
		f.Forgotten = true
		change, err := storeWatched(f, file.Stamp)
		if err := errors.Join(err, n.store.Apply(change)); err != nil {
			return err
		}
	}
	return nil
}

// forgetWatched drops what is remembered of the files in a folder.
func (n *Node) forgetWatched(dir string) error {
	var batch []blockstore.Change
	for rec, err := range n.store.States(stateWatched, "") {
		if err != nil {
			return err
		}
		var f watchedFile
		if err := json.Unmarshal(rec.Value, &f); err == nil && !isBelow(f.Path, dir) {
			continue
		}
		batch = append(batch, blockstore.ForgetState(stateWatched, rec.Key))
		if len(batch) == blockstore.MaxChanges {
			if err := n.store.Apply(batch...); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if err := n.store.Apply(batch...); err != nil {
		return err
	}
	return n.dropMarks(dir)
}
