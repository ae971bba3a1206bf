package blockstore

import (
	"bytes"
	"fmt"
	"iter"
)

// Limits of a state record.
const (
	MaxStateKind  = 16       // longest kind in bytes
	MaxStateKey   = 8192     // longest key in bytes
	MaxStateValue = 64 << 10 // longest value in bytes
)

// StateRecord is something the daemon remembers. The store does not look into
// it.
type StateRecord struct {
	Kind  string // 1 to MaxStateKind letters a to z and hyphens
	Key   string // at most MaxStateKey bytes, of any kind; may be empty
	Value []byte // at most MaxStateValue bytes; may be empty
}

// stateRecordKey is the key of a state record. No kind has a zero byte, so none
// is the start of another.
func stateRecordKey(kind, key string) ([]byte, error) {
	if err := checkStateKind(kind); err != nil {
		return nil, err
	}
	if len(key) > MaxStateKey {
		return nil, fmt.Errorf("key of %d bytes, limit %d", len(key), MaxStateKey)
	}
	out := make([]byte, 0, len(kind)+len(key)+2)
	out = append(append(out, stateKey), kind...)
	return append(append(out, 0), key...), nil
}

func checkStateKind(kind string) error {
	if len(kind) == 0 || len(kind) > MaxStateKind {
		return fmt.Errorf("kind of %d bytes, want 1 to %d", len(kind), MaxStateKind)
	}
	for _, c := range []byte(kind) {
		if c != '-' && (c < 'a' || c > 'z') {
			return fmt.Errorf("kind %q has other characters than a to z and -", kind)
		}
	}
	return nil
}

// PutState stores a record, in place of the one with its kind and key.
func (s *Store) PutState(kind, key string, value []byte) error {
	return s.Apply(StoreState(kind, key, value))
}

// State returns the value of a record; fs.ErrNotExist if there is none.
func (s *Store) State(kind, key string) (value []byte, err error) {
	at, err := stateRecordKey(kind, key)
	if err == nil {
		err = s.view(func(t txn) error {
			value, err = t.copied(at)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("%.32s record %.100q: %w", kind, key, err)
	}
	return value, nil
}

// States yields the records of a kind whose keys begin with prefix, in the
// order of their keys. It ends with the first error. The consumer may change
// records meanwhile, and may or may not see what it changed.
func (s *Store) States(kind, prefix string) iter.Seq2[StateRecord, error] {
	return func(yield func(StateRecord, error) bool) {
		from, err := stateRecordKey(kind, prefix)
		if err != nil {
			yield(StateRecord{}, fmt.Errorf("%.32s records: %w", kind, err))
			return
		}
		for e, err := range s.scan(from, from) {
			if err != nil {
				yield(StateRecord{}, fmt.Errorf("%s records: %w", kind, err))
				return
			}
			_, key, _ := bytes.Cut(e.key, []byte{0})
			if !yield(StateRecord{Kind: kind, Key: string(key), Value: e.value}, nil) {
				return
			}
		}
	}
}

// DropState removes a record. One that is not there is no error.
func (s *Store) DropState(kind, key string) error {
	return s.Apply(ForgetState(kind, key))
}
