package blockstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/vidsync/vidsync/manifest"
)

// orphan is a file number whose record is gone and whose places, and perhaps
// proofs, await removal.
type orphan struct {
	id    fileID
	video manifest.Digest
}

// orphan notes that the places of a file number are to be removed.
func (t txn) orphan(id fileID, video manifest.Digest) (orphan, error) {
	return orphan{id: id, video: video}, t.Set(numberKey(removedKey, uint64(id)), video[:])
}

// forgotten removes what forgotten files left behind. The change that forgot
// them is already done, so a failure is only logged, and it waits for nobody
// who is removing things already: Run or GC does what is left.
func (s *Store) forgotten(old []orphan) {
	if len(old) == 0 {
		return
	}
	s.blocks.clear()
	for _, o := range old {
		s.handles.drop(o.id)
	}
	if !s.sweeping.TryLock() {
		return
	}
	defer s.sweeping.Unlock()
	if _, err := s.sweepAll(context.Background(), old); err != nil {
		s.log.Warn("remove places of a forgotten file", "err", err)
	}
}

// sweepAll removes the places of orphans, and manifests that are not referred
// to any more. The caller holds s.sweeping.
func (s *Store) sweepAll(ctx context.Context, orphans []orphan) (freed Freed, err error) {
	manifests := make(map[manifest.Digest]*manifest.Manifest)
	for _, o := range orphans {
		m, ok := manifests[o.video]
		if !ok {
			m, err = s.Manifest(ctx, videoCID(o.video))
			if errors.Is(err, fs.ErrNotExist) {
				continue // GC finds the places without it
			}
			if err != nil {
				return freed, err
			}
			manifests[o.video] = m
		}
		f, err := s.sweep(ctx, o, m)
		freed.add(f)
		if err != nil {
			return freed, err
		}
	}
	left, err := s.orphans()
	if err != nil {
		return freed, err
	}
	for _, o := range left { // whoever sweeps them needs the manifest
		delete(manifests, o.video)
	}
	for _, m := range manifests {
		f, err := s.dropManifest(m)
		freed.add(f)
		if err != nil {
			return freed, err
		}
	}
	return freed, nil
}

// sweep removes all that is under the number of an orphan.
func (s *Store) sweep(ctx context.Context, o orphan, m *manifest.Manifest) (freed Freed, err error) {
	digests := make([]manifest.Digest, 0, batchBlocks)
	for i := range m.NumBlocks() {
		digests = append(digests, m.Block(i).Digest)
		if len(digests) < batchBlocks && i < m.NumBlocks()-1 {
			continue
		}
		f, err := s.dropPlaces(ctx, o.id, digests)
		freed.add(f)
		if err != nil {
			return freed, err
		}
		digests = digests[:0]
	}
	f, err := s.dropUnder(ctx, numberKey(maskKey, uint64(o.id)))
	freed.add(f)
	if err != nil {
		return freed, err
	}
	return freed, s.remove(func(t txn) error { return t.Delete(numberKey(removedKey, uint64(o.id))) })
}

// dropPlaces removes the places of blocks under a file number, and the proofs
// that thereby have no place left.
func (s *Store) dropPlaces(ctx context.Context, id fileID, digests []manifest.Digest) (freed Freed, err error) {
	if err := ctx.Err(); err != nil {
		return freed, err
	}
	err = s.remove(func(t txn) error {
		for _, d := range digests {
			if err := t.dropPlace(d, id, &freed); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Freed{}, fmt.Errorf("remove places: %w", err)
	}
	return freed, nil
}

// dropPlace removes what a file number has of a block, if it has it.
func (t txn) dropPlace(d manifest.Digest, id fileID, freed *Freed) error {
	key := digestFileKey(blockKey, d, id)
	if ok, err := t.has(key); err != nil || !ok {
		return err
	}
	if err := t.drop(key, freed); err != nil {
		return err
	}
	return t.dropProof(d, freed)
}

// dropProof removes the proof of a block that has no places.
func (t txn) dropProof(d manifest.Digest, freed *Freed) error {
	key := digestKey(blockKey, d)
	if t.hasUnder(key) {
		return nil
	}
	return t.drop(key, freed)
}

// dropUnder removes every key under prefix.
func (s *Store) dropUnder(ctx context.Context, prefix []byte) (freed Freed, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return freed, err
		}
		count, f := 0, Freed{}
		err := s.remove(func(t txn) error {
			var keys [][]byte
			for key := range t.keys(prefix, prefix) {
				if keys = append(keys, key); len(keys) == batchKeys {
					break
				}
			}
			count = len(keys)
			for _, key := range keys {
				if err := t.drop(key, &f); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return freed, fmt.Errorf("remove from index: %w", err)
		}
		freed.add(f)
		if count < batchKeys {
			return freed, nil
		}
	}
}

// dropJournal ends the journal of an import, and the masks of a receipt that is
// finished. Unless the import was committed, its places go too. Like forgotten
// it leaves to Run or GC what it cannot do now.
func (s *Store) dropJournal(id fileID) {
	if !s.sweeping.TryLock() {
		return
	}
	defer s.sweeping.Unlock()
	if _, err := s.sweepJournal(context.Background(), id); err != nil {
		s.log.Warn("remove what an import left", "err", err)
	}
}

// sweepJournal is dropJournal; the caller holds s.sweeping. An import that is
// under way is left alone.
func (s *Store) sweepJournal(ctx context.Context, id fileID) (freed Freed, err error) {
	under, committed, err := s.importState(id)
	if err != nil || under {
		return freed, err
	}
	prefix := numberKey(journalKey, uint64(id))
	if !committed {
		for e, err := range s.scan(prefix, prefix) {
			if err != nil {
				return freed, err
			}
			f, err := s.dropPlaces(ctx, id, journalDigests(e.value))
			freed.add(f)
			if err != nil {
				return freed, err
			}
		}
	}
	for _, kind := range []byte{maskKey, journalKey} {
		f, err := s.dropUnder(ctx, numberKey(kind, uint64(id)))
		freed.add(f)
		if err != nil {
			return freed, err
		}
	}
	return freed, nil
}

func (s *Store) importState(id fileID) (under, committed bool, err error) {
	s.writing.Lock()
	_, under = s.active[id]
	s.writing.Unlock()
	err = s.view(func(t txn) error {
		committed, err = t.has(numberKey(fileKey, uint64(id)))
		return err
	})
	return under, committed, err
}

func journalDigests(v []byte) []manifest.Digest {
	var digests []manifest.Digest
	for d := range slices.Chunk(v[:len(v)/digestLen*digestLen], digestLen) {
		digests = append(digests, manifest.Digest(d))
	}
	return digests
}
