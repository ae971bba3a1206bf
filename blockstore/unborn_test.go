package blockstore_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/vidsync/vidsync/blockstore"
)

// A kill between the creation of a log file and its first byte leaves an empty
// file, with which Badger by itself does not open.
func TestOpenAfterKillWhileLogIsCreated(t *testing.T) {
	for _, name := range []string{"00001.mem", "00009.mem", "000009.vlog"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := blockstore.Open(dir, blockstore.Config{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.PutJob(blockstore.Job{ID: "kept", Kind: "fetch"}); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err = blockstore.Open(dir, blockstore.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := s.Job("kept"); err != nil {
				t.Error(err)
			}
		})
	}
}
