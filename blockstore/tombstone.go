package blockstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/vidsync/vidsync/manifest"
)

// maxTombstones is how many removals the catalogue remembers: the newest.
const maxTombstones = 10_000

// tombs counts the tombstones.
type tombs struct {
	count     uint64
	forgotten uint64 // number of the newest that was let go, or 0
}

func decodeTombs(v []byte) (tombs, error) {
	if len(v) != 16 {
		return tombs{}, fmt.Errorf("%w: count of removals in %d bytes", errRecord, len(v))
	}
	return tombs{binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])}, nil
}

func encodeTombs(n tombs) []byte {
	return binary.BigEndian.AppendUint64(encodeNumber(n.count), n.forgotten)
}

func (t txn) tombs() (n tombs, err error) {
	err = t.value([]byte{tombsKey}, func(v []byte) (err error) {
		n, err = decodeTombs(v)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return tombs{}, nil
	}
	return n, err
}

// bury puts the removal of video d, which those recordings were, into the log.
func (t txn) bury(d manifest.Digest, recording string) error {
	n, err := t.tombs()
	if err != nil {
		return err
	}
	seq, err := t.nextSeq()
	if err != nil {
		return err
	}
	if err := t.Set(numberKey(tombKey, seq), append(d[:], recording...)); err != nil {
		return err
	}
	if err := t.Set(digestKey(buriedKey, d), encodeNumber(seq)); err != nil {
		return err
	}
	t.effects.listed = true
	for n.count++; n.count > maxTombstones; n.count-- {
		if n.forgotten, err = t.dropTomb(n.forgotten); err != nil {
			return err
		}
	}
	return t.Set([]byte{tombsKey}, encodeTombs(n))
}

// decodeTomb is what bury has put into the log.
func decodeTomb(v []byte) (d manifest.Digest, recording string, err error) {
	if len(v) < len(d) || len(v) > len(d)+MaxRecording {
		return d, "", fmt.Errorf("%w: removal in %d bytes", errRecord, len(v))
	}
	return manifest.Digest(v[:len(d)]), string(v[len(d):]), nil
}

// dropTomb lets the oldest tombstone go, which has a number above that one.
func (t txn) dropTomb(above uint64) (seq uint64, err error) {
	for key := range t.keys([]byte{tombKey}, numberKey(tombKey, above+1)) {
		if seq, err = numberField(key[1:]); err != nil {
			return 0, err
		}
		break
	}
	key := numberKey(tombKey, seq)
	value, err := t.copied(key)
	if err != nil {
		return 0, fmt.Errorf("oldest removal: %w", err)
	}
	d, _, err := decodeTomb(value)
	if err != nil {
		return 0, err
	}
	at, err := t.buried(d)
	if err == nil && at == seq {
		err = t.Delete(digestKey(buriedKey, d))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	return seq, t.Delete(key)
}

// buried is the number under which video d was removed.
func (t txn) buried(d manifest.Digest) (seq uint64, err error) {
	err = t.value(digestKey(buriedKey, d), func(v []byte) (err error) {
		seq, err = numberField(v)
		return err
	})
	return seq, err
}

// unbury takes the removal of a video that is here again out of the log.
func (t txn) unbury(d manifest.Digest) error {
	seq, err := t.buried(d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	n, err := t.tombs()
	if err != nil {
		return err
	}
	if n.count > 0 {
		n.count--
	}
	for _, key := range [][]byte{numberKey(tombKey, seq), digestKey(buriedKey, d)} {
		if err := t.Delete(key); err != nil {
			return err
		}
	}
	return t.Set([]byte{tombsKey}, encodeTombs(n))
}
