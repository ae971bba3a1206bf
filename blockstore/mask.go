package blockstore

import (
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/vidsync/vidsync/manifest"
)

// A mask value is the mask, 4 bytes, and then the outboard as far as it is
// known, unless the block is whole.
const maskLen = 4

func encodeMask(mask uint32, o manifest.Outboard) []byte {
	out := binary.BigEndian.AppendUint32(make([]byte, 0, maskLen+len(o)), mask)
	return append(out, o...)
}

func decodeMask(v []byte) (mask uint32, o manifest.Outboard, err error) {
	if len(v) < maskLen || len(v) > maskLen+manifest.OutboardLen(manifest.BlockSize) {
		return 0, nil, fmt.Errorf("%w: mask of %d bytes", errRecord, len(v))
	}
	return binary.BigEndian.Uint32(v), manifest.Outboard(v[maskLen:]), nil
}

// masks calls fn with the mask of every block under a receipt's file number.
func (t txn) masks(id fileID, fn func(block int, mask uint32)) error {
	prefix := numberKey(maskKey, uint64(id))
	it := t.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: true, PrefetchSize: 100})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().Key()
		if len(key) != len(prefix)+4 {
			return fmt.Errorf("%w: mask key of %d bytes", errRecord, len(key))
		}
		block := int(binary.BigEndian.Uint32(key[len(prefix):]))
		err := itemValue(it.Item(), func(v []byte) error {
			mask, _, err := decodeMask(v)
			if err == nil {
				fn(block, mask)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
