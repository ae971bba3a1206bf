package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
)

// stateIntent is the kind of the records of removals that have begun and not
// ended. The key is the path. One is stored before the file gets its hidden name
// and dropped with the last step, so that a start after a crash finds the file.
const stateIntent = "removing"

// removalIntent is what is stored of one.
type removalIntent struct {
	Path    string           `json:"path"`
	Video   string           `json:"cid"`
	Stamp   blockstore.Stamp `json:"stamp"`
	Started time.Time        `json:"started"`
	// Holders have said that they hold the video while the file was aside. They
	// are stored just before it is deleted.
	Holders []api.RemovalHolder `json:"holders,omitempty"`
}

func (n *Node) storeIntent(in removalIntent) error {
	value, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return n.store.PutState(stateIntent, in.Path, value)
}

// recoverRemovals ends what was cut short. A file that is aside gets its name
// back: nobody knows what became of the holders meanwhile. What stays undone is
// tried again with the next call.
func (n *Node) recoverRemovals() error {
	for s, err := range n.store.States(stateIntent, "") {
		if err != nil {
			return err
		}
		var in removalIntent
		if err := json.Unmarshal(s.Value, &in); err != nil || in.Path != s.Key {
			n.log.Error("record of a removal cannot be read; a file may have a hidden name", "path", s.Key, "hidden", asideName(s.Key))
			if err := n.store.DropState(stateIntent, s.Key); err != nil {
				return err
			}
			continue
		}
		n.logged("end removal of "+in.Path, n.recoverRemoval(in))
	}
	return nil
}

func (n *Node) recoverRemoval(in removalIntent) error {
	dir, err := os.Stat(filepath.Dir(in.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it may come back
	}
	if err != nil {
		return err
	}
	hidden := filepath.Join(filepath.Dir(in.Path), asideName(in.Path))
	aside, err := os.Lstat(hidden)
	if err == nil && in.matches(aside) {
		return n.restoreAside(in, aside)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	info, err := os.Lstat(in.Path)
	switch {
	case err == nil && in.matches(info):
		return n.notRemoved(in, in.Path, blockstore.StampOf(info))
	case err == nil: // something else is there, which the watch tells of
		return n.store.DropState(stateIntent, in.Path)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case blockstore.StampOf(dir).Device != in.Stamp.Device:
		return nil // what was there may come back
	case len(in.Holders) > 0:
		return n.removed(in)
	}
	return n.store.DropState(stateIntent, in.Path) // somebody else took it away
}

// matches tells whether a file is that of the intent. Numbers of devices and
// inodes may be others after a start.
func (in removalIntent) matches(info fs.FileInfo) bool {
	st := blockstore.StampOf(info)
	return info.Mode().IsRegular() && st.Size == in.Stamp.Size && st.ModTime == in.Stamp.ModTime
}

// restoreAside gives a file its name back.
func (n *Node) restoreAside(in removalIntent, aside fs.FileInfo) error {
	hidden := filepath.Join(filepath.Dir(in.Path), asideName(in.Path))
	if info, err := os.Lstat(in.Path); err == nil && os.SameFile(info, aside) {
		return os.Remove(hidden) // it has both names; the next call does the rest
	}
	dir, err := os.Open(filepath.Dir(in.Path))
	if err != nil {
		return err
	}
	file, err := openRegular(hidden)
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	o := &outgoing{path: in.Path, dir: dir, file: file, stamp: blockstore.StampOf(aside), hidden: filepath.Base(hidden)}
	defer o.close()
	path, err := o.putBack()
	if err != nil {
		return err
	}
	return n.notRemoved(in, path, o.stamp)
}

// notRemoved ends a removal whose file stays, at path and with the change time
// that renaming has given it.
func (n *Node) notRemoved(in removalIntent, path string, stamp blockstore.Stamp) error {
	n.log.Info("file stays", "cid", in.Video, "path", path)
	rec, err := n.store.FileRecord(in.Path)
	known, err := found(rec, err)
	if err != nil {
		return err
	}
	was := rec.Stamp
	was.Device, was.Inode = stamp.Device, stamp.Inode
	if !known || !sameFile(was, stamp) {
		return n.store.DropState(stateIntent, in.Path)
	}
	if rec.Stamp.Device != stamp.Device || rec.Stamp.Inode != stamp.Inode {
		was.ChangeTime = rec.Stamp.ChangeTime
		if err := n.store.RestampFiles(map[string]blockstore.Stamp{in.Path: was}); err != nil {
			return err
		}
		rec.Stamp = was
	}
	changes := []blockstore.Change{blockstore.ForgetState(stateIntent, in.Path)}
	if path != in.Path {
		mark, err := n.movedMark(rec, path)
		if err != nil {
			return err
		}
		changes = append(changes, mark...)
	}
	return errors.Join(n.store.MoveFile(in.Path, path, stamp, changes...), n.damage.moved(in.Path, path, stamp))
}

// removed takes note that a file is gone from the disk. Each step may be done
// twice; the intent is dropped with the last.
func (n *Node) removed(in removalIntent) error {
	video, err := cid.Decode(in.Video)
	if err != nil {
		return fmt.Errorf("removal of %s: %w", in.Path, err)
	}
	rec, err := n.store.FileRecord(in.Path)
	if known, err := found(rec, err); err != nil {
		return err
	} else if known && sameFile(rec.Stamp, in.Stamp) {
		if err := errors.Join(n.store.ForgetFile(in.Path), n.damage.heal(in.Path)); err != nil {
			return err
		}
	}
	changes, err := n.withoutFile(video)
	if err != nil {
		return err
	}
	gone := api.Removal{CID: in.Video, Path: in.Path, Size: in.Stamp.Size, Time: time.Now().UTC(), Holders: in.Holders}
	value, err := json.Marshal(gone)
	if err != nil {
		return err
	}
	changes = append(changes, blockstore.StoreState(stateRemoval, in.Video, value),
		blockstore.ForgetState(stateIntent, in.Path), blockstore.ForgetState(stateAddedMark, in.Path))
	if was, err := n.watchedAt(in.Stamp); err == nil && was.Path == in.Path {
		changes = append(changes, blockstore.ForgetState(stateWatched, watchedKey(in.Stamp)))
	}
	if err := n.watching.countRemoval(gone, changes); err != nil {
		return err
	}
	n.log.Info("file was removed, as others hold it", "cid", in.Video, "path", in.Path, "bytes", in.Stamp.Size, "holders", loggedHolders(in.Holders))
	return nil
}

// withoutFile has the catalogue say that no file of a video is here any more, if
// that is so, and drops this node's own receipt.
func (n *Node) withoutFile(video cid.Cid) ([]blockstore.Change, error) {
	_, state, err := n.fileState(video)
	if err != nil || state == videoWhole || state == videoDamaged {
		return nil, err
	}
	v, err := n.store.Video(video)
	known, err := found(v, err)
	if err != nil {
		return nil, err
	}
	if known {
		v.State = videoRemoved
		err = n.store.PutVideo(v)
	}
	return []blockstore.Change{
		blockstore.ForgetState(stateReceipt, receiptKey(video, n.self)),
		blockstore.ForgetState(stateAttest, video.String()),
	}, err
}

// loggedHolders are holders with their names and the times of their receipts.
func loggedHolders(holders []api.RemovalHolder) []string {
	var out []string
	for _, h := range holders {
		text := h.PeerID
		if h.Name != "" {
			text = h.Name + " " + text
		}
		if h.Receipt != nil {
			text += " " + h.Receipt.Format(time.RFC3339)
		}
		out = append(out, text)
	}
	return out
}
