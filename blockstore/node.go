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

// PutManifest stores the nodes of m that are not there yet. They stay as long
// as a catalogue entry, a file or a receipt refers to m, and until the store
// closes if nothing does.
func (s *Store) PutManifest(m *manifest.Manifest) error {
	root, err := manifest.NodeDigest(m.CID())
	if err != nil {
		return err
	}
	s.writing.Lock()
	s.fresh[root] = struct{}{}
	s.writing.Unlock()
	for n, err := range m.Nodes() {
		if err != nil {
			return err
		}
		if err := s.update(func(t txn) error { return t.putNode(n, root) }); err != nil {
			return fmt.Errorf("store manifest %s: %w", m.CID(), err)
		}
	}
	return nil
}

func (t txn) putNode(n manifest.Node, root manifest.Digest) error {
	d, err := manifest.NodeDigest(n.CID)
	if err != nil {
		return err
	}
	if d != root {
		if err := t.setOnce(digestsKey(treeKey, d, root), nil); err != nil {
			return err
		}
	}
	return t.setOnce(digestKey(nodeKey, d), n.Data)
}

// ManifestNode returns the bytes of one manifest node; fs.ErrNotExist if it is
// not here. They are not checked again.
func (s *Store) ManifestNode(c cid.Cid) (data []byte, err error) {
	d, err := manifest.NodeDigest(c)
	if err != nil {
		return nil, err
	}
	err = s.view(func(t txn) error {
		data, err = t.copied(digestKey(nodeKey, d))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("manifest node %s: %w", c, err)
	}
	return data, nil
}

// Manifest returns the manifest named root; fs.ErrNotExist if it, or part of
// it, is not here.
func (s *Store) Manifest(ctx context.Context, root cid.Cid) (*manifest.Manifest, error) {
	return manifest.Load(ctx, root, func(ctx context.Context, _ []int, node cid.Cid) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return s.ManifestNode(node)
	})
}

// nodeUsed tells whether anything refers to manifest node d. The caller holds
// s.writing.
func (s *Store) nodeUsed(t txn, d manifest.Digest) (bool, error) {
	if used, err := s.rootUsed(t, d); used || err != nil {
		return used, err
	}
	prefix := digestKey(treeKey, d)
	for _, key := range slices.Collect(t.keys(prefix, prefix)) { // one iterator at a time
		root, err := digestField(keyTail(key))
		if err != nil {
			return false, err
		}
		if used, err := s.rootUsed(t, root); used || err != nil {
			return used, err
		}
	}
	return false, nil
}

// rootUsed tells whether anything refers to the video of manifest root d.
func (s *Store) rootUsed(t txn, d manifest.Digest) (bool, error) {
	if _, ok := s.fresh[d]; ok {
		return true, nil
	}
	for _, kind := range []byte{entryKey, receiptKey} {
		if ok, err := t.has(digestKey(kind, d)); ok || err != nil {
			return ok, err
		}
	}
	return t.hasUnder(digestKey(contentKey, d)), nil
}

// dropManifest removes the nodes of m that nothing else refers to. Children go
// first, so that an interrupted removal can be taken up again.
func (s *Store) dropManifest(m *manifest.Manifest) (freed Freed, err error) {
	root, err := manifest.NodeDigest(m.CID())
	if err != nil {
		return freed, err
	}
	for n, err := range m.Nodes() {
		if err != nil {
			return freed, err
		}
		d, err := manifest.NodeDigest(n.CID)
		if err != nil {
			return freed, err
		}
		err = s.remove(func(t txn) error { return s.dropNode(t, d, root, &freed) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return freed, fmt.Errorf("remove manifest %s: %w", m.CID(), err)
		}
	}
	return freed, nil
}

// dropNode removes node d of the tree root unless something refers to it.
func (s *Store) dropNode(t txn, d, root manifest.Digest, freed *Freed) error {
	if used, err := s.rootUsed(t, root); used || err != nil {
		return err
	}
	if d != root {
		if err := t.Delete(digestsKey(treeKey, d, root)); err != nil {
			return err
		}
	}
	if used, err := s.nodeUsed(t, d); used || err != nil {
		return err
	}
	return t.drop(digestKey(nodeKey, d), freed)
}
