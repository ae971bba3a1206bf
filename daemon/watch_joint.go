package daemon

import (
	"sync"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
)

// watchJoint stores what several files of a watched folder came to in one step:
// while one is stored others wait, and all that wait are stored next.
type watchJoint struct {
	mu      sync.Mutex
	waiting []*watchAdded // at most one for each file that is being added

	storing sync.Mutex
}

// watchAdded is what is to be stored of a file that was added.
type watchAdded struct {
	changes []blockstore.Change
	last    *api.WatchedVideo // nil: it was the same video already
	over    bool              // under watchJoint.storing, as is err
	err     error
}

// store returns once a is stored, or cannot be.
func (j *watchJoint) store(f *watchedFolder, a *watchAdded) error {
	j.mu.Lock()
	j.waiting = append(j.waiting, a)
	j.mu.Unlock()
	j.storing.Lock()
	defer j.storing.Unlock()
	if !a.over {
		j.storeAll(f)
	}
	return a.err
}

// storeAll stores what waits. What cannot be stored together is stored one by
// one. The caller holds storing.
func (j *watchJoint) storeAll(f *watchedFolder) {
	j.mu.Lock()
	all := j.waiting
	j.waiting = nil
	j.mu.Unlock()
	err := f.editAdded(all...)
	for _, a := range all {
		a.over, a.err = true, err
		if err != nil && len(all) > 1 {
			a.err = f.editAdded(a)
		}
	}
}

// editAdded stores files that were added, with the folder's record.
func (f *watchedFolder) editAdded(all ...*watchAdded) error {
	var changes []blockstore.Change
	for _, a := range all {
		changes = append(changes, a.changes...)
	}
	_, err := f.watching.edit(f, func(record *watchRecord) {
		for _, a := range all {
			if a.last != nil {
				record.Added++
				record.Last = a.last
			}
		}
	}, changes...)
	return err
}
