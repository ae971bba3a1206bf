package blockstore

import (
	"fmt"

	"github.com/vidsync/vidsync/manifest"
)

// Holdings says what can be read of a video now, from any file: whole blocks
// only. Files are looked at, not read.
func (s *Store) Holdings(m *manifest.Manifest) (*manifest.Holdings, error) {
	d, err := manifest.NodeDigest(m.CID())
	if err != nil {
		return nil, err
	}
	held := manifest.NewHoldings(m.Size())
	err = s.view(func(t txn) error {
		look := newInspection(t)
		for id := range t.filesOf(d) {
			if _, ok := look.usable(id); ok {
				held = manifest.AllHoldings(m.Size())
				return nil
			}
		}
		return fillHoldings(t, look, m, held)
	})
	if err != nil {
		return nil, fmt.Errorf("holdings of %s: %w", m.CID(), err)
	}
	return held, nil
}

// fillHoldings looks for every block by itself.
func fillHoldings(t txn, look *inspection, m *manifest.Manifest, held *manifest.Holdings) error {
	for i := range m.NumBlocks() {
		for p, err := range t.places(m.Block(i).Digest, 1) {
			if err != nil {
				return err
			}
			if _, ok := look.usable(p.file); ok {
				held.Add(i, held.FullMask(i))
				break
			}
		}
	}
	return nil
}
