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
	// pageEntries is how many entries scan reads at a time.
	pageEntries = 256
)

// txn is one transaction on the index.
type txn struct{ *badger.Txn }

// view runs fn on a snapshot of the index.
func (s *Store) view(fn func(t txn) error) error {
	return s.db.View(func(t *badger.Txn) error { return fn(txn{t}) })
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
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.db.Update(func(t *badger.Txn) error { return fn(txn{t}) })
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
	return item.Value(fn)
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

// setOnce writes what cannot change: a key that is there is left as it is.
func (t txn) setOnce(key, value []byte) error {
	if ok, err := t.has(key); ok || err != nil {
		return err
	}
	return t.Set(key, value)
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
		for {
			page, err := s.page(prefix, from)
			if err != nil {
				yield(entry{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if len(page) < pageEntries {
				return
			}
			from = append(page[len(page)-1].key, 0)
		}
	}
}

func (s *Store) page(prefix, from []byte) (page []entry, err error) {
	err = s.view(func(t txn) error {
		it := t.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Seek(from); it.Valid() && len(page) < pageEntries; it.Next() {
			value, err := it.Item().ValueCopy(nil)
			if err != nil {
				return fmt.Errorf("read index: %w", err)
			}
			page = append(page, entry{key: it.Item().KeyCopy(nil), value: value})
		}
		return nil
	})
	return page, err
}
