package blockstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/vidsync/vidsync/manifest"
)

const (
	// maxPlacesPerFile is how many places of one block are remembered for one
	// file. A sparse file has the block of zeros thousands of times, and the
	// others add nothing: the file is usable or not as a whole.
	maxPlacesPerFile = 4
	// maxPlaces is the most places that are listed for one block.
	maxPlaces = 256
)

// Place is where the bytes of a block lie.
type Place struct {
	Path   string // absolute
	Offset int64  // of the block's first byte
	Stamp  Stamp  // of the file when it was added
}

// place is a Place as the index has it.
type place struct {
	file   fileID
	offset int64
}

// A write is one block to be recorded under a file number.
type write struct {
	block    manifest.Block
	outboard manifest.Outboard
}

// putBlocks records proofs and places of blocks in file id. A proof that is
// there already is not written again.
func (t txn) putBlocks(id fileID, writes []write) error {
	positions := make(map[manifest.Digest][]int, len(writes))
	for _, w := range writes {
		positions[w.block.Digest] = append(positions[w.block.Digest], w.block.Index)
	}
	for _, w := range writes {
		at, ok := positions[w.block.Digest]
		if !ok {
			continue // done with an earlier position
		}
		delete(positions, w.block.Digest)
		if err := t.setOnce(digestKey(blockKey, w.block.Digest), w.outboard); err != nil {
			return err
		}
		t.effects.proofs += int64(len(w.outboard))
		if err := t.putPlaces(w.block.Digest, id, at); err != nil {
			return err
		}
	}
	return nil
}

func (t txn) putPlaces(d manifest.Digest, id fileID, positions []int) error {
	key := digestFileKey(blockKey, d, id)
	var known []int
	err := t.value(key, func(v []byte) (err error) {
		known, err = decodePositions(v)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	merged := mergePositions(known, positions)
	if slices.Equal(known, merged) {
		return nil
	}
	return t.Set(key, encodePositions(merged))
}

func mergePositions(known, more []int) []int {
	merged := slices.Concat(known, more)
	slices.Sort(merged)
	merged = slices.Compact(merged)
	return merged[:min(len(merged), maxPlacesPerFile)]
}

func encodePositions(positions []int) []byte {
	out := make([]byte, 0, 4*len(positions))
	for _, p := range positions {
		out = binary.BigEndian.AppendUint32(out, uint32(p))
	}
	return out
}

func decodePositions(v []byte) ([]int, error) {
	if len(v)%4 != 0 || len(v) == 0 || len(v) > 4*maxPlacesPerFile {
		return nil, fmt.Errorf("%w: positions in %d bytes", errRecord, len(v))
	}
	positions := make([]int, 0, len(v)/4)
	for ; len(v) > 0; v = v[4:] {
		positions = append(positions, int(binary.BigEndian.Uint32(v)))
	}
	return positions, nil
}

// places yields the places of block d in files on record, at most n of each
// file.
func (t txn) places(d manifest.Digest, n int) func(yield func(place, error) bool) {
	prefix := digestKey(blockKey, d)
	return func(yield func(place, error) bool) {
		for key := range t.keys(prefix, append(slices.Clone(prefix), 0)) {
			if !t.placesIn(key, n, yield) {
				return
			}
		}
	}
}

// placesIn yields the places under one key and returns false when the consumer
// has had enough.
func (t txn) placesIn(key []byte, n int, yield func(place, error) bool) bool {
	number, ok := keyNumber(keyTail(key))
	if !ok {
		return yield(place{}, fmt.Errorf("%w: place of %d bytes", errRecord, len(key)))
	}
	id := fileID(number)
	if ok, err := t.has(numberKey(fileKey, number)); err != nil || !ok {
		return err == nil || yield(place{}, err)
	}
	var positions []int
	err := t.value(key, func(v []byte) (err error) {
		positions, err = decodePositions(v)
		return err
	})
	if err != nil {
		return yield(place{}, err)
	}
	for _, p := range positions[:min(n, len(positions))] {
		if !yield(place{file: id, offset: int64(p) * manifest.BlockSize}, nil) {
			return false
		}
	}
	return true
}

// Outboard returns the proof tree of a block; fs.ErrNotExist if the block is
// not known.
func (s *Store) Outboard(block manifest.Digest) (o manifest.Outboard, err error) {
	err = s.view(func(t txn) error {
		o, err = t.copied(digestKey(blockKey, block))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("proof of block %s: %w", block, err)
	}
	return o, nil
}

// Places returns where a block can be read now, in files that are as they were
// when they were added: none is no error. At most 256 places are listed, and
// at most four of one file.
func (s *Store) Places(block manifest.Digest) (found []Place, err error) {
	err = s.view(func(t txn) error {
		look := newInspection(t)
		for p, err := range t.places(block, maxPlacesPerFile) {
			if err != nil {
				return err
			}
			if f, ok := look.usable(p.file); ok {
				found = append(found, Place{Path: f.Path, Offset: p.offset, Stamp: f.Stamp})
			}
			if len(found) == maxPlaces {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("places of block %s: %w", block, err)
	}
	return found, nil
}

// inspection looks at each file once.
type inspection struct {
	t    txn
	seen map[fileID]inspected
}

type inspected struct {
	file   File
	usable bool
}

func newInspection(t txn) *inspection {
	return &inspection{t: t, seen: make(map[fileID]inspected)}
}

// usable returns the file and whether it is as it was when it was added.
func (i *inspection) usable(id fileID) (File, bool) {
	got, ok := i.seen[id]
	if !ok {
		f, err := i.t.file(id)
		got = inspected{file: f, usable: err == nil && checkStamp(f.Path, f.Stamp) == nil}
		i.seen[id] = got
	}
	return got.file, got.usable
}
