package daemon

import (
	"sync"

	"github.com/vidsync/vidsync/blockstore"
)

// maxWatchNotes is how many files are noted before they are stored.
const maxWatchNotes = 256

// watchNotes collects what was found out about files that are known, and stores
// it for many at once: every transaction waits for the disk.
type watchNotes struct {
	node *Node

	mu    sync.Mutex
	files map[string]blockstore.Stamp // to be remembered, by path
	moved map[string]blockstore.Stamp // those whose device or inode is another now
}

// known takes note of a file that is known at its path. moved tells that its
// device or inode is another than on record.
func (w *watchNotes) known(path string, stamp blockstore.Stamp, moved bool) error {
	remembered, err := w.node.remembered(path, stamp)
	if err != nil || remembered && !moved {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.files == nil {
		w.files, w.moved = map[string]blockstore.Stamp{}, map[string]blockstore.Stamp{}
	}
	w.files[path] = stamp
	if moved {
		w.moved[path] = stamp
	}
	if len(w.files) < maxWatchNotes {
		return nil
	}
	return w.store()
}

// flush stores what is noted.
func (w *watchNotes) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.store()
}

// store keeps the notes if it fails. The caller holds mu.
func (w *watchNotes) store() error {
	var changes []blockstore.Change
	for path, stamp := range w.files {
		c, err := storeWatched(newWatchedFile(path, stamp), stamp)
		if err != nil {
			return err
		}
		changes = append(changes, c)
	}
	if err := w.node.store.RestampFiles(w.moved); err != nil {
		return err
	}
	if err := w.node.store.Apply(changes...); err != nil {
		return err
	}
	clear(w.files)
	clear(w.moved)
	return nil
}
