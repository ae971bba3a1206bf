package daemon

import (
	"context"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
)

// at is the folder that is watched by just that path; nil if none is.
func (w *watching) at(dir string) *watchedFolder {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.folders[dir]
}

// changes tells whether a request has settings, and not only a folder.
func changes(req api.AddWatchRequest) bool {
	return len(req.Glob) > 0 || req.Settle != 0 || req.Live != nil || req.RemoveAfter != nil || len(req.RemoveHolders) > 0
}

// changeWatch gives a watched folder the settings of a request. Those that it
// does not have, and all that is known of the folder, stay.
func (n *Node) changeWatch(ctx context.Context, f *watchedFolder, req api.AddWatchRequest) (api.Watch, error) {
	w := n.watching
	w.adding.Lock()
	defer w.adding.Unlock()
	rec := f.stored()
	policy, err := n.changedPolicy(rec.Remove, req)
	if err != nil {
		return api.Watch{}, err
	}
	watched, err := w.edit(f, func(rec *watchRecord) {
		rec.Remove = policy
		if len(req.Glob) > 0 {
			rec.Glob = req.Glob
		}
		if req.Settle != 0 {
			rec.Settle = req.Settle
		}
		if req.Live != nil {
			rec.Live = *req.Live
		}
	})
	if err != nil {
		return api.Watch{}, err
	}
	if !watched {
		return api.Watch{}, api.Errorf(api.CodeNotFound, "%s is watched no more; see: vidsync watch ls", f.dir)
	}
	if len(req.Glob) > 0 || req.Settle != 0 || req.Live != nil {
		f = n.restartWatch(ctx, f)
	}
	n.removals.settled()
	n.removals.again()
	n.log.Info("folder is watched in another way", "dir", f.dir, "remove_after", policy.After, "holders", policy.Holders)
	_, running := w.all()
	return f.listed(running), nil
}

// restartWatch ends the watching of a folder and begins it anew with its record.
func (n *Node) restartWatch(ctx context.Context, f *watchedFolder) *watchedFolder {
	f.end()
	if !f.ended(ctx, watchEndPatience) {
		n.log.Warn("the file system of a watched folder does not answer", "dir", f.dir)
	}
	w := n.watching
	w.mu.Lock()
	defer w.mu.Unlock()
	defer notify(w.changed)
	if w.folders[f.dir] != f {
		return f
	}
	fresh := newWatchedFolder(w, f.dir, f.stored())
	w.folders[f.dir] = fresh
	return fresh
}

// countRemoval stores, with other changes, that a file was removed from the
// watched folder that it was in, if there still is one.
func (w *watching) countRemoval(gone api.Removal, with []blockstore.Change) error {
	folders, _ := w.all()
	for dir, f := range folders {
		if isBelow(gone.Path, dir) {
			watched, err := w.edit(f, func(rec *watchRecord) { rec.Removed++; rec.LastRemoved = &gone }, with...)
			if watched || err != nil {
				return err
			}
		}
	}
	return w.node.store.Apply(with...)
}

// present tells whether the folder is there and everything in it was looked at.
func (f *watchedFolder) present() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.removed && f.away == "" && f.folder != nil && f.folder.Scanned()
}

// policy also tells whether the folder is watched still.
func (f *watchedFolder) policy() (p removalPolicy, watched bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.record.Remove, !f.removed
}
