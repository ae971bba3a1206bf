package blockstore

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Freed is what a removal took out of the index.
type Freed struct {
	Bytes int64 // of keys and values
	Items int   // blocks' proofs and places, manifest nodes, receipts
}

func (f *Freed) add(o Freed) {
	f.Bytes += o.Bytes
	f.Items += o.Items
}

// drop deletes key, if it is there, and counts it.
func (t txn) drop(key []byte, freed *Freed) error {
	item, err := t.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	size := int64(len(key)) + item.ValueSize()
	if err := t.Delete(key); err != nil {
		return fmt.Errorf("remove from index: %w", err)
	}
	freed.add(Freed{Bytes: size, Items: 1})
	return nil
}
