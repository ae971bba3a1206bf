package blockstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/manifest"
)

// errReceiptChanged is returned when a receipt changes while it is advanced.
var errReceiptChanged = errors.New("receipt changed meanwhile")

// AdvanceReceipt makes the receipt of video from that of video to, another
// version of the same recording: longer, shorter, or with some blocks anew. The
// part stays the same, and so does what the receipt has of every block that both
// versions have at the same place. What it has of others is removed before, so
// an interrupted call leaves a receipt of from that covers less, or one of to.
// The caller gives the part its new size afterwards, and commits nothing to
// either receipt meanwhile.
//
// Both manifests must be in the store, and there must be a receipt of from:
// fs.ErrNotExist otherwise. A receipt of to is fs.ErrExist. Either changes
// nothing. The manifest of from is dropped if nothing else refers to it.
func (s *Store) AdvanceReceipt(from cid.Cid, to *manifest.Manifest) error {
	if err := s.advanceReceipt(from, to); err != nil {
		return fmt.Errorf("advance receipt of %s to %s: %w", from, to.CID(), err)
	}
	return nil
}

func (s *Store) advanceReceipt(from cid.Cid, to *manifest.Manifest) (err error) {
	a := advance{to: to}
	if a.before, err = manifest.NodeDigest(from); err != nil {
		return err
	}
	if a.after, err = manifest.NodeDigest(to.CID()); err != nil {
		return err
	}
	err = s.view(func(t txn) error {
		a.receipt, err = t.advancing(a.before, a.after)
		return err
	})
	if err != nil {
		return err
	}
	if a.from, err = s.Manifest(context.Background(), from); err != nil {
		return err
	}
	if err := a.strip(s); err != nil {
		return err
	}
	var left []orphan
	err = s.update(func(t txn) error {
		left, err = a.move(s, t)
		return err
	})
	if err != nil {
		return err
	}
	s.forgotten(left)
	return nil
}

// advancing is the receipt of video from, if it can become that of video to.
func (t txn) advancing(from, to manifest.Digest) (receiptRecord, error) {
	r, err := t.receipt(from)
	if err != nil {
		return r, fmt.Errorf("receipt of %s: %w", videoCID(from), err)
	}
	if ok, err := t.has(digestKey(receiptKey, to)); err != nil || ok {
		return r, errors.Join(err, fmt.Errorf("receipt of %s: %w", videoCID(to), fs.ErrExist))
	}
	if ok, err := t.has(digestKey(nodeKey, to)); err != nil || !ok {
		return r, errors.Join(err, fmt.Errorf("manifest %s: %w", videoCID(to), fs.ErrNotExist))
	}
	return r, nil
}

// advance is one receipt on its way from one version to another.
type advance struct {
	before, after manifest.Digest
	from, to      *manifest.Manifest
	receipt       receiptRecord // of from
}

// fileID is the number under which all that the receipt covers is.
func (a advance) fileID() fileID { return fileID(a.receipt.File) }

// unchanged returns an error unless the receipt is as it was.
func (a advance) unchanged(t txn) error {
	r, err := t.advancing(a.before, a.after)
	if err == nil && r != a.receipt {
		err = errReceiptChanged
	}
	return err
}

// move is the small transaction after which the receipt is that of to.
func (a advance) move(s *Store, t txn) ([]orphan, error) {
	if err := a.unchanged(t); err != nil {
		return nil, err
	}
	if len(a.staleMasks(t)) > 0 {
		return nil, errReceiptChanged
	}
	if err := t.Delete(digestKey(receiptKey, a.before)); err != nil {
		return nil, err
	}
	if err := t.putReceipt(a.after, a.receipt); err != nil {
		return nil, err
	}
	delete(s.fresh, a.before)
	delete(s.fresh, a.after)
	return t.leaveManifest(a.before)
}

// stays tells whether both versions have the same block at i.
func (a advance) stays(i int) bool {
	return i < a.from.NumBlocks() && i < a.to.NumBlocks() && a.from.Block(i) == a.to.Block(i)
}

// strip removes what the receipt has of blocks that do not stay: first the
// masks, since one of a whole block relies on the proof that goes with the
// places.
func (a advance) strip(s *Store) error {
	for count := batchKeys; count == batchKeys; {
		err := a.remove(s, func(t txn) error {
			stale := a.staleMasks(t)
			count = len(stale)
			for _, key := range stale {
				if err := t.Delete(key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	places := a.stalePlaces()
	for batch := range slices.Chunk(slices.Collect(maps.Keys(places)), batchBlocks) {
		err := a.remove(s, func(t txn) error {
			for _, d := range batch {
				if err := a.keepPlaces(t, d, places[d]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// remove runs fn in a transaction unless the receipt has changed.
func (a advance) remove(s *Store, fn func(t txn) error) error {
	return s.remove(func(t txn) error {
		if err := a.unchanged(t); err != nil {
			return err
		}
		return fn(t)
	})
}

// staleMasks lists some keys of masks of blocks that do not stay.
func (a advance) staleMasks(t txn) (stale [][]byte) {
	prefix := numberKey(maskKey, uint64(a.fileID()))
	for key := range t.keys(prefix, prefix) {
		if block, ok := keyItem(key); ok && a.stays(block) {
			continue
		}
		if stale = append(stale, key); len(stale) == batchKeys {
			break
		}
	}
	return stale
}

// stalePlaces lists the blocks that do not stay somewhere, with where else they
// do.
func (a advance) stalePlaces() map[manifest.Digest][]int {
	places := make(map[manifest.Digest][]int)
	for i := range a.from.NumBlocks() {
		if !a.stays(i) {
			places[a.from.Block(i).Digest] = nil
		}
	}
	for i := range a.from.NumBlocks() {
		d := a.from.Block(i).Digest
		if at, ok := places[d]; ok && a.stays(i) {
			places[d] = append(at, i)
		}
	}
	return places
}

// keepPlaces reduces the places of a block in the part to those of the given
// positions where it is whole.
func (a advance) keepPlaces(t txn, d manifest.Digest, at []int) error {
	key := digestFileKey(blockKey, d, a.fileID())
	if ok, err := t.has(key); err != nil || !ok {
		return err
	}
	var whole []int
	for _, i := range at {
		if len(whole) == maxPlacesPerFile {
			break
		}
		if ok, err := t.isWhole(a.fileID(), a.to.Block(i)); err != nil {
			return err
		} else if ok {
			whole = append(whole, i)
		}
	}
	if len(whole) == 0 {
		return t.dropPlace(d, a.fileID(), &Freed{})
	}
	return t.Set(key, encodePositions(whole))
}

// isWhole tells whether a receipt covers all of a block.
func (t txn) isWhole(id fileID, b manifest.Block) (whole bool, err error) {
	err = t.value(fileItemKey(maskKey, id, b.Index), func(v []byte) error {
		mask, _, err := decodeMask(v)
		whole = mask == fullMask(b.Len)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return whole, err
}
