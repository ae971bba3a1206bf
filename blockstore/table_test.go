package blockstore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// aTable is a table as Badger writes it, of so many records.
func aTable(t testing.TB, records int) []byte {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if err := s.PutState("k", string(rune('a'+i)), make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(found) != 1 {
		t.Fatalf("tables are %v, %v", found, err)
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTableThatWasChanged(t *testing.T) {
	good := aTable(t, 50)
	path := filepath.Join(t.TempDir(), "1.sst")
	check := func(data []byte) (int64, error) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return checkTable(path, true, 1<<20)
	}
	if n, err := check(good); err != nil || n < 20_000 {
		t.Errorf("whole table: %d bytes checked, %v", n, err)
	}
	step := len(good)/100 + 1
	for at := 0; at < len(good); at++ {
		if at%step != 0 && at < len(good)-40 {
			continue
		}
		for _, mask := range []byte{1, 0x80} {
			changed := bytes.Clone(good)
			changed[at] ^= mask
			if _, err := check(changed); !errors.Is(err, ErrDamaged) {
				t.Errorf("changed at %d of %d: %v", at, len(good), err)
			}
		}
		if _, err := check(good[:at]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut at %d of %d: %v", at, len(good), err)
		}
	}
}

// Whatever is in a table, checking it ends, and says damaged if it says anything.
func FuzzTable(f *testing.F) {
	good := aTable(f, 1) // short, for the fuzzer to be quick
	f.Add(good)
	f.Add(good[len(good)/2:])
	f.Add(good[:len(good)/2])
	f.Add(make([]byte, 8))
	path := filepath.Join(f.TempDir(), "1.sst")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := checkTable(path, true, 1<<20); err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
}
