package blockstore

import (
	"errors"
	"io/fs"
	"iter"

	"github.com/vidsync/vidsync/manifest"
)

// candidate is a place that a block may be read from.
type candidate struct {
	resolved
	file       File
	generation uint64 // of the block cache, before the index was read
}

// candidates yields every place of a block. Files that were looked at and
// found unusable are the consumer's to skip.
func (s *Store) candidates(block manifest.Digest) iter.Seq2[candidate, error] {
	return func(yield func(candidate, error) bool) {
		generation := s.blocks.generation()
		err := s.view(func(t txn) error {
			o, err := t.copied(digestKey(blockKey, block))
			if err != nil {
				return err
			}
			for p, err := range t.places(block, maxPlacesPerFile) {
				if err != nil {
					return err
				}
				f, err := t.file(p.file)
				if err != nil {
					return err
				}
				if !yield(candidate{resolved{block, o, p}, f, generation}, nil) {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			yield(candidate{}, err)
		}
	}
}

// attempts collects why places of a block could not be read.
type attempts struct {
	reads                   int // that were made and failed
	corrupt, broken, change error
}

func (a *attempts) add(err error) {
	switch {
	case errors.Is(err, manifest.ErrCorrupt):
		a.reads++
		a.corrupt = errors.Join(a.corrupt, err)
	case errors.Is(err, ErrChanged):
		a.change = err
	case errors.Is(err, fs.ErrNotExist):
	default:
		a.reads++
		a.broken = err
	}
}

// worst is the error that says most about why there is no usable place.
func (a *attempts) worst() error {
	for _, err := range []error{a.corrupt, a.broken, a.change} {
		if err != nil {
			return err
		}
	}
	return fs.ErrNotExist
}

// warn tells of damage that another place made good.
func (a *attempts) warn(s *Store, path string) {
	if err := errors.Join(a.corrupt, a.broken); err != nil {
		s.log.Warn("piece read from another file", "from", path, "err", err)
	}
}
