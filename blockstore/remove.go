package blockstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/manifest"
)

// RemoveVideo forgets a video: its catalogue entry, in whose place the log has
// the removal from now on, its files' records and places, its receipt, and the
// manifest nodes and proofs that no other video uses. It deletes no file. The
// video is gone at once; if clearing up behind it fails or is interrupted, Run
// or GC does the rest. It waits for a GC that is running. A video of which
// nothing is known is fs.ErrNotExist.
func (s *Store) RemoveVideo(c cid.Cid) (freed Freed, err error) {
	d, err := manifest.NodeDigest(c)
	if err != nil {
		return Freed{}, err
	}
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	var old []orphan
	err = s.remove(func(t txn) error {
		old, err = s.unlist(t, d, &freed)
		return err
	})
	if err != nil {
		return Freed{}, fmt.Errorf("remove %s: %w", c, err)
	}
	s.blocks.clear()
	for _, o := range old {
		s.handles.drop(o.id)
	}
	f, err := s.sweepVideo(c, old)
	freed.add(f)
	if err != nil {
		return freed, fmt.Errorf("remove %s: %w", c, err)
	}
	return freed, nil
}

// unlist is the small transaction after which the video is not here any more.
func (s *Store) unlist(t txn, d manifest.Digest, freed *Freed) (old []orphan, err error) {
	known, err := t.has(digestKey(nodeKey, d))
	if err != nil {
		return nil, err
	}
	if v, err := t.video(d); err == nil {
		known = true
		if err := t.drop(numberKey(logKey, v.Seq), freed); err != nil {
			return nil, err
		}
		if err := t.Delete(digestKey(entryKey, d)); err != nil {
			return nil, err
		}
		if err := t.bury(d, v.Recording); err != nil {
			return nil, err
		}
	}
	for _, id := range slices.Collect(t.filesOf(d)) { // one iterator at a time
		f, err := t.file(id)
		if err != nil {
			return nil, err
		}
		o, err := t.forget(id, f)
		if err != nil {
			return nil, err
		}
		old = append(old, o)
	}
	receipt, err := t.endReceipt(d)
	if err != nil {
		return nil, err
	}
	delete(s.fresh, d)
	if old = append(old, receipt...); !known && len(old) == 0 {
		return nil, fs.ErrNotExist
	}
	return old, nil
}

// sweepVideo clears up behind unlist. With no orphan there may still be a
// manifest.
func (s *Store) sweepVideo(c cid.Cid, old []orphan) (Freed, error) {
	if len(old) > 0 {
		return s.sweepAll(context.Background(), old)
	}
	m, err := s.Manifest(context.Background(), c)
	if errors.Is(err, fs.ErrNotExist) {
		return Freed{}, nil
	}
	if err != nil {
		return Freed{}, err
	}
	return s.dropManifest(m)
}
