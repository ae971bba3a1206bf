package blockstore

import (
	"fmt"
)

// Limits of what Apply takes at once.
const (
	MaxChanges     = 512     // changes
	MaxChangeBytes = 1 << 20 // keys and values of them all, in bytes
)

// Change is one part of what Apply does, made by StoreState, ForgetState,
// StoreJob or ForgetJob. What is wrong with it comes out of Apply.
type Change struct {
	what   string // it is about
	size   int    // of key and value in bytes
	frees  bool   // it takes no room
	effect func(t txn) error
	err    error // why it cannot be done
}

// StoreState is the change that PutState makes. It keeps value.
func StoreState(kind, key string, value []byte) Change {
	c := Change{what: stateName(kind, key), size: len(kind) + len(key) + len(value)}
	at, err := stateRecordKey(kind, key)
	if err == nil && len(value) > MaxStateValue {
		err = fmt.Errorf("value of %d bytes, limit %d", len(value), MaxStateValue)
	}
	c.err = err
	c.effect = func(t txn) error { return t.Set(at, value) }
	return c
}

// ForgetState is the change that DropState makes.
func ForgetState(kind, key string) Change {
	c := Change{what: stateName(kind, key), size: len(kind) + len(key), frees: true}
	at, err := stateRecordKey(kind, key)
	c.err = err
	c.effect = func(t txn) error { return t.Delete(at) }
	return c
}

func stateName(kind, key string) string { return fmt.Sprintf("%.32s record %.100q", kind, key) }

// StoreJob is the change that PutJob makes.
func StoreJob(j Job) Change {
	return Change{
		what: jobName(j.ID), size: len(j.ID) + len(j.Kind) + len(j.State) + len(j.Spec) + len(j.Message),
		effect: func(t txn) error { return t.putJob(j) },
	}
}

// ForgetJob is the change that RemoveJob makes.
func ForgetJob(id string) Change {
	return Change{what: jobName(id), size: len(id), frees: true, effect: func(t txn) error { return t.dropJob(id) }}
}

func jobName(id string) string { return fmt.Sprintf("job %.64q", id) }

// Apply makes all changes or, if it returns an error, none, in their order: a
// later one of the same record or job counts. It takes at most MaxChanges of
// together at most MaxChangeBytes; the caller splits what is more.
func (s *Store) Apply(changes ...Change) error {
	if len(changes) == 0 {
		return nil
	}
	frees, size, err := checkChanges(changes)
	if err != nil {
		return fmt.Errorf("store %s: %w", name(changes), err)
	}
	build := func(t txn) error {
		for _, c := range changes {
			if err := c.effect(t); err != nil {
				return err
			}
		}
		return nil
	}
	if frees {
		err = s.remove(build)
	} else {
		err = s.updateTogether(size, build)
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", name(changes), err)
	}
	return nil
}

// name says what changes are about.
func name(changes []Change) string {
	if len(changes) == 1 {
		return changes[0].what
	}
	return fmt.Sprintf("%s and %d more", changes[0].what, len(changes)-1)
}

// checkChanges also tells whether the changes only free room, and their size.
func checkChanges(changes []Change) (frees bool, size int, err error) {
	if len(changes) > MaxChanges {
		return false, 0, fmt.Errorf("%d changes at once, limit %d", len(changes), MaxChanges)
	}
	frees = true
	for _, c := range changes {
		if c.err != nil {
			return false, 0, fmt.Errorf("%s: %w", c.what, c.err)
		}
		frees, size = frees && c.frees, size+c.size
	}
	if size > MaxChangeBytes {
		return false, 0, fmt.Errorf("changes of %d bytes at once, limit %d", size, MaxChangeBytes)
	}
	return frees, size, nil
}
