package blockstore

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"
	"time"
)

// Changes that wait for another share one transaction; one that fails fails
// alone.
func TestChangesAreCommittedTogether(t *testing.T) {
	s, err := Open(t.TempDir(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wrong := errors.New("wrong")
	for _, failing := range []int{-1, 7} {
		before := s.db.MaxVersion()
		errs := queueUp(t, s, maxTogether, 1, func(t txn, i int) error {
			if i == failing {
				return errors.Join(t.Set(numberKey(flushKey, uint64(i)), nil), wrong)
			}
			return t.Set(numberKey(stateKey, uint64(i)), nil)
		})
		for i, err := range errs {
			if want := i == failing; want != errors.Is(err, wrong) || !want && err != nil {
				t.Errorf("change %d: %v", i, err)
			}
			if ok, err := has(s, numberKey(stateKey, uint64(i))); err != nil || !ok && i != failing {
				t.Errorf("change %d is there: %v, %v", i, ok, err)
			}
		}
		if ok, err := has(s, numberKey(flushKey, 7)); ok || err != nil {
			t.Errorf("of the change that failed something is there: %v, %v", ok, err)
		}
		if n := s.db.MaxVersion() - before; failing < 0 && n != 1 {
			t.Errorf("%d transactions", n)
		}
	}
}

// What is too much for one transaction goes into several.
func TestJointChangesAreBounded(t *testing.T) {
	s, err := Open(t.TempDir(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	value := make([]byte, maxTogetherBytes/4)
	before := s.db.MaxVersion()
	for i, err := range queueUp(t, s, 8, len(value), func(t txn, i int) error { return t.Set(numberKey(stateKey, uint64(i)), value) }) {
		if err != nil {
			t.Errorf("change %d: %v", i, err)
		}
	}
	if n := s.db.MaxVersion() - before; n != 2 {
		t.Errorf("%d transactions", n)
	}
}

// queueUp has n changes of so many bytes wait, and then lets them go.
func queueUp(t *testing.T, s *Store, n, weight int, build func(t txn, i int) error) []error {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	s.writing.Lock()
	for i := range n {
		wg.Go(func() {
			errs[i] = s.updateTogether(weight, func(t txn) error { return build(t, i) })
		})
	}
	for waiting := 0; waiting < n; time.Sleep(time.Millisecond) {
		s.queue.mu.Lock()
		waiting = len(s.queue.waiting)
		s.queue.mu.Unlock()
	}
	s.writing.Unlock()
	wg.Wait()
	return errs
}

func has(s *Store, key []byte) (ok bool, err error) {
	err = s.view(func(t txn) error {
		err := t.value(key, func([]byte) error { return nil })
		if ok = err == nil; errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for a key: %w", err)
	}
	return ok, nil
}
