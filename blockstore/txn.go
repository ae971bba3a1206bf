package blockstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"github.com/dgraph-io/badger/v4"
)

const (
	// batchBlocks is the most blocks written in one transaction. With full
	// proofs they are 0.5 MiB, under half of what Badger accepts.
	batchBlocks = 256
	// batchKeys is the most keys removed in one transaction.
	batchKeys = 4096
	// pageEntries is how many entries scan reads at a time, unless they come to
	// pageBytes before.
	pageEntries = 256
	pageBytes   = 1 << 20
)

// txn is one transaction on the index.
type txn struct {
	*badger.Txn
	effects *effects // nil: it reads only
}

// effects is what a transaction means outside the index.
type effects struct {
	journal *journal // nil: none is kept
	listed  bool     // the catalogue changes
	proofs  int64    // bytes that are written
	ended   []fact   // no longer so; the journal says it before the commit
	begun   []fact   // so from now on; the journal says it after the commit
}

// view runs fn on a snapshot of the index.
func (s *Store) view(fn func(t txn) error) error {
	return s.db.View(func(t *badger.Txn) error { return fn(txn{Txn: t}) })
}

// update runs fn in a transaction that no other overlaps and commits it to
// stable storage. It is refused while the disk is nearly full: Badger writes
// through memory maps, where a full disk is a fault and not an error.
func (s *Store) update(fn func(t txn) error) error {
	return s.updateWith(writeReserve, fn)
}

// remove is update for what frees space: it may use more of the reserve.
func (s *Store) remove(fn func(t txn) error) error {
	return s.updateWith(openReserve, fn)
}

func (s *Store) updateWith(reserve uint64, fn func(t txn) error) error {
	if err := checkRoom(s.dir, reserve); err != nil {
		return err
	}
	if err := s.commitNext(fn); err != nil {
		return err
	}
	if s.written.Load() > dropBytes {
		s.dropPages()
	}
	return nil
}

func (s *Store) commitNext(fn func(t txn) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.commit(fn)
}

// commit builds and commits a transaction. The journal never claims what the
// index does not: it learns of an end before the commit, and of a beginning
// after it. A crash in between costs it a claim. The caller holds s.writing.
func (s *Store) commit(fn func(t txn) error) error {
	t := txn{s.db.NewTransaction(true), &effects{journal: s.journal}}
	defer t.Discard()
	if err := fn(t); err != nil {
		return err
	}
	if err := s.journal.end(t.effects.ended); err != nil {
		return err
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if t.effects.listed {
		s.changed.tell()
	}
	s.journal.begin(t.effects.begun)
	s.written.Add(t.effects.proofs)
	return nil
}

// value calls fn with the value at key, valid during the call only. Absence is
// fs.ErrNotExist.
func (t txn) value(key []byte, fn func(value []byte) error) error {
	item, err := t.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return fs.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	return itemValue(item, fn)
}

// itemValue calls fn with the value of an item. Badger itself gives an empty
// value for one that is damaged or missing in its log, and no error.
func itemValue(item *badger.Item, fn func(value []byte) error) error {
	return item.Value(func(v []byte) error {
		if len(v) == 0 && item.ValueSize() > 0 {
			return fmt.Errorf("%w: value cannot be read", errRecord)
		}
		return fn(v)
	})
}

// copied is value for a caller that keeps the bytes.
func (t txn) copied(key []byte) (value []byte, err error) {
	err = t.value(key, func(v []byte) error {
		value = bytes.Clone(v)
		return nil
	})
	return value, err
}

func (t txn) has(key []byte) (bool, error) {
	_, err := t.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read index: %w", err)
	}
	return true, nil
}

// setOnce writes what cannot change: a key that is there is left as it is,
// unless its value is damaged.
func (t txn) setOnce(key, value []byte) error {
	err := t.value(key, func([]byte) error { return nil })
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errRecord) {
		return t.Set(key, value)
	}
	return err
}

// hasUnder tells whether there is any key under prefix longer than it.
func (t txn) hasUnder(prefix []byte) bool {
	for range t.keys(prefix, append(prefix[:len(prefix):len(prefix)], 0)) {
		return true
	}
	return false
}

// keys yields the keys under prefix from a key on. A yielded key is the
// consumer's to keep.
func (t txn) keys(prefix, from []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		it := t.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Seek(from); it.Valid(); it.Next() {
			if !yield(it.Item().KeyCopy(nil)) {
				return
			}
		}
	}
}

// entry is one key of the index with its value.
type entry struct{ key, value []byte }

// scan yields what is under prefix from a key on. It reads a page at a time, so
// no transaction is open while the consumer works, and what is written
// meanwhile may be seen.
func (s *Store) scan(prefix, from []byte) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		for more := true; more; {
			var page []entry
			var err error
			if page, more, err = s.page(prefix, from); err != nil {
				yield(entry{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if more {
				from = append(page[len(page)-1].key, 0)
			}
		}
	}
}

func (s *Store) page(prefix, from []byte) (page []entry, more bool, err error) {
	err = s.view(func(t txn) error {
		page, more, err = t.page(prefix, from)
		return err
	})
	return page, more, err
}

// page reads some entries and tells whether there may be more.
func (t txn) page(prefix, from []byte) (page []entry, more bool, err error) {
	it := t.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	size := 0
	for it.Seek(from); it.Valid(); it.Next() {
		if len(page) == pageEntries || size >= pageBytes {
			return page, true, nil
		}
		e := entry{key: it.Item().KeyCopy(nil)}
		err := itemValue(it.Item(), func(v []byte) error {
			e.value = bytes.Clone(v)
			return nil
		})
		if err != nil {
			return nil, false, fmt.Errorf("read index: %w", err)
		}
		page, size = append(page, e), size+len(e.key)+len(e.value)
	}
	return page, false, nil
}
