package blockstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/vidsync/vidsync/manifest"
)

// GC reads the whole index and removes what nothing refers to: proofs and
// places of imports, receipts and files that are gone, and manifests of no
// video. It then lets Badger give the space back. Work under way is left alone
// and not held up for long: half a second at most.
func (s *Store) GC(ctx context.Context) (Freed, error) {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	freed, err := s.tidy(ctx)
	if err != nil {
		return freed, err
	}
	left, err := s.orphans()
	if err != nil {
		return freed, err
	}
	for _, pass := range []struct {
		kind byte
		drop func(t txn, keys [][]byte, freed *Freed) error
	}{
		{blockKey, s.dropDeadPlaces},
		{blockKey, dropBareProofs},
		{maskKey, s.dropDeadMasks},
		{nodeKey, s.dropDeadNodes},
		{treeKey, s.dropDeadTrees},
	} {
		f, err := s.pass(ctx, []byte{pass.kind}, pass.drop)
		freed.add(f)
		if err != nil {
			return freed, fmt.Errorf("collect garbage: %w", err)
		}
	}
	if err := s.dropOrphans(left); err != nil {
		return freed, err
	}
	if freed.Items > 0 {
		s.blocks.clear()
	}
	return freed, s.reclaim(ctx)
}

// tidy removes what is known to be left over, without reading the whole index.
// The caller holds s.sweeping.
func (s *Store) tidy(ctx context.Context) (freed Freed, err error) {
	orphans, err := s.orphans()
	if err != nil {
		return freed, err
	}
	freed, err = s.sweepAll(ctx, orphans)
	if err != nil {
		return freed, err
	}
	journals, err := s.journals()
	if err != nil {
		return freed, err
	}
	for _, id := range journals {
		f, err := s.sweepJournal(ctx, id)
		freed.add(f)
		if err != nil {
			return freed, err
		}
	}
	return freed, nil
}

func (s *Store) orphans() (orphans []orphan, err error) {
	prefix := []byte{removedKey}
	for e, err := range s.scan(prefix, prefix) {
		if err != nil {
			return nil, err
		}
		id, err := numberField(e.key[1:])
		if err != nil {
			return nil, err
		}
		d, err := digestField(e.value)
		if err != nil {
			return nil, err
		}
		orphans = append(orphans, orphan{id: fileID(id), video: d})
	}
	return orphans, nil
}

// journals lists the file numbers that have a journal.
func (s *Store) journals() (ids []fileID, err error) {
	prefix := []byte{journalKey}
	err = s.view(func(t txn) error {
		for key := range t.keys(prefix, prefix) {
			n, ok := keyNumber(key[1:])
			if !ok {
				return fmt.Errorf("%w: journal key of %d bytes", errRecord, len(key))
			}
			if len(ids) == 0 || ids[len(ids)-1] != fileID(n) {
				ids = append(ids, fileID(n))
			}
		}
		return nil
	})
	return ids, err
}

// pass hands the keys under prefix to drop, some at a time, in a transaction
// each.
func (s *Store) pass(ctx context.Context, prefix []byte, drop func(t txn, keys [][]byte, freed *Freed) error) (freed Freed, err error) {
	for from := prefix; from != nil; {
		if err := ctx.Err(); err != nil {
			return freed, err
		}
		var next []byte
		f := Freed{}
		err := s.remove(func(t txn) error {
			var keys [][]byte
			for key := range t.keys(prefix, from) {
				if keys = append(keys, key); len(keys) == batchKeys {
					next = key // again: its neighbour is not known yet
					break
				}
			}
			return drop(t, keys, &f)
		})
		if err != nil {
			return freed, err
		}
		freed.add(f)
		from = next
	}
	return freed, nil
}

// liveness tells which file numbers are in use, in one transaction.
type liveness struct {
	t    txn
	live map[fileID]bool
}

func (s *Store) liveness(t txn) (*liveness, error) {
	l := &liveness{t: t, live: make(map[fileID]bool)}
	for id := range s.active {
		l.live[id] = true
	}
	prefix := []byte{receiptKey}
	var receipts [][]byte
	for key := range t.keys(prefix, prefix) {
		receipts = append(receipts, key)
	}
	for _, key := range receipts {
		d, ok := keyDigest(key)
		if !ok {
			continue
		}
		r, err := t.receipt(d)
		if err != nil {
			return nil, err
		}
		l.live[fileID(r.File)] = true
	}
	return l, nil
}

func (l *liveness) has(id fileID) (bool, error) {
	if live, ok := l.live[id]; ok {
		return live, nil
	}
	live, err := l.t.has(numberKey(fileKey, uint64(id)))
	if err == nil {
		l.live[id] = live
	}
	return live, err
}

func (s *Store) dropDeadPlaces(t txn, keys [][]byte, freed *Freed) error {
	live, err := s.liveness(t)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if len(key) != placeKeys {
			continue
		}
		n := binary.BigEndian.Uint64(keyTail(key))
		if ok, err := live.has(fileID(n)); err != nil {
			return err
		} else if ok {
			continue
		}
		if err := t.drop(key, freed); err != nil {
			return err
		}
	}
	return nil
}

// dropBareProofs removes proofs of blocks that have no place. Places follow
// their proof, so the next key mostly tells.
func dropBareProofs(t txn, keys [][]byte, freed *Freed) error {
	for i, key := range keys {
		d, ok := keyDigest(key)
		if !ok || len(key) != proofKeys {
			continue
		}
		if i+1 < len(keys) && len(keys[i+1]) == placeKeys && manifest.Digest(keys[i+1][1:1+digestLen]) == d {
			continue
		}
		if err := t.dropProof(d, freed); err != nil {
			return err
		}
	}
	return nil
}

// dropDeadMasks removes masks of receipts that are over.
func (s *Store) dropDeadMasks(t txn, keys [][]byte, freed *Freed) error {
	live, err := s.liveness(t)
	if err != nil {
		return err
	}
	for _, key := range keys {
		n, ok := keyNumber(key[1:])
		if ok && live.live[fileID(n)] {
			continue
		}
		if err := t.drop(key, freed); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) dropDeadNodes(t txn, keys [][]byte, freed *Freed) error {
	for _, key := range keys {
		d, ok := keyDigest(key)
		if !ok {
			continue
		}
		if used, err := s.nodeUsed(t, d); err != nil {
			return err
		} else if used {
			continue
		}
		if err := t.drop(key, freed); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) dropDeadTrees(t txn, keys [][]byte, freed *Freed) error {
	for _, key := range keys {
		root, err := digestField(keyTail(key))
		if err != nil {
			return err
		}
		if used, err := s.rootUsed(t, root); err != nil {
			return err
		} else if used {
			continue
		}
		if err := t.drop(key, freed); err != nil {
			return err
		}
	}
	return nil
}

// dropOrphans removes the notes of orphans once all they stand for is gone.
func (s *Store) dropOrphans(orphans []orphan) error {
	for batch := range slices.Chunk(orphans, batchKeys) {
		err := s.remove(func(t txn) error {
			for _, o := range batch {
				if err := t.Delete(numberKey(removedKey, uint64(o.id))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("collect garbage: %w", err)
		}
	}
	return nil
}
