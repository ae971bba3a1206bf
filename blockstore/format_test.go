package blockstore

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The format inside the index counts even if the file beside it is lost.
func TestNewerFormatInside(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.update(func(t txn) error { return t.Set([]byte{formatKey}, []byte("2")) }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, formatFile)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the refusal leaves the index closed, and as it was
		if _, err := Open(dir, Config{}); !errors.Is(err, ErrNewer) {
			t.Errorf("open: %v, want ErrNewer", err)
		}
	}
}

func TestFullDiskIsAnError(t *testing.T) {
	if err := checkRoom(t.TempDir(), 1<<62); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
	if err := checkRoom(t.TempDir(), 0); err != nil {
		t.Error(err)
	}
}

// Versions before did not sync the file: a power cut could leave it empty.
func TestEmptyFormatFileIsWrittenAnew(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		s, err := Open(dir, Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "FORMAT")
		if text, err := os.ReadFile(path); err != nil || len(text) == 0 {
			t.Fatalf("format file: %q, %v", text, err)
		}
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
	}
}
