package daemon

import (
	"encoding/json"
	"strings"

	"github.com/vidsync/vidsync/blockstore"
)

// stateAddedMark is the kind of the records of files that are in the index
// because their folder is watched, and not by `vidsync add` or `fetch`. The key
// is the path. Only these are ever removed by --remove-after.
const stateAddedMark = "watch-added"

// addedMark names one file record. A file that was added anew since, by whomever,
// has another time.
type addedMark struct {
	Video string `json:"cid"`
	When  int64  `json:"when_ns"`
}

func newAddedMark(f blockstore.File) addedMark {
	return addedMark{Video: f.Video.String(), When: f.When.UnixNano()}
}

// markAdded is the change that marks a file of the index.
func markAdded(f blockstore.File) (blockstore.Change, error) {
	value, err := json.Marshal(newAddedMark(f))
	return blockstore.StoreState(stateAddedMark, f.Path, value), err
}

// isMarked tells whether it is just this file record that was made because its
// folder is watched.
func (n *Node) isMarked(f blockstore.File) (bool, error) {
	value, err := n.store.State(stateAddedMark, f.Path)
	if known, err := found(value, err); !known || err != nil {
		return false, err
	}
	var m addedMark
	err = json.Unmarshal(value, &m)
	return err == nil && m == newAddedMark(f) && f.Origin == blockstore.Added, nil
}

// markOf are the changes that mark a file which the watch has just hashed. One
// that was on record before by other means stays unmarked, and so does a video
// whose file was removed once: somebody has brought it back.
func (n *Node) markOf(f, old blockstore.File, again bool) ([]blockstore.Change, error) {
	if again {
		if marked, err := n.isMarked(old); err != nil || !marked {
			return nil, err
		}
	}
	if r, err := n.removalOf(f.Video); err != nil {
		return nil, err
	} else if r != nil {
		n.log.Info("file of a video that was removed once stays", "cid", f.Video, "path", f.Path)
		return []blockstore.Change{blockstore.ForgetState(stateAddedMark, f.Path)}, nil
	}
	change, err := markAdded(f)
	return []blockstore.Change{change}, err
}

// movedMark are the changes that have the mark of a file follow it.
func (n *Node) movedMark(f blockstore.File, to string) ([]blockstore.Change, error) {
	marked, err := n.isMarked(f)
	if err != nil || !marked {
		return nil, err
	}
	f.Path, to = to, f.Path
	change, err := markAdded(f)
	return []blockstore.Change{change, blockstore.ForgetState(stateAddedMark, to)}, err
}

// dropMarks unmarks all files below a folder.
func (n *Node) dropMarks(dir string) error {
	for s, err := range n.store.States(stateAddedMark, strings.TrimSuffix(dir, "/")+"/") {
		if err == nil {
			err = n.store.DropState(stateAddedMark, s.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
