package assemble_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
)

func TestCopyIn(t *testing.T) {
	for _, size := range []int{0, 1, 5<<20 + 17} {
		data := bytes.Repeat([]byte{7}, size)
		src := filepath.Join(t.TempDir(), "talk.mp4")
		if err := os.WriteFile(src, data, 0o640); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "new", "videos")
		for _, name := range []string{"talk.mp4", "talk (2).mp4"} {
			path, err := assemble.CopyIn(t.Context(), src, dir)
			if err != nil {
				t.Fatal(err)
			}
			if path != filepath.Join(dir, name) {
				t.Errorf("copied to %s, want %s", path, name)
			}
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes copied as %d, %v", size, len(got), err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
		}
	}
}

func TestCopyInLeavesNothingBehind(t *testing.T) {
	src, dir := filepath.Join(t.TempDir(), "talk.mp4"), t.TempDir()
	if err := os.WriteFile(src, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := assemble.CopyIn(ctx, src, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := assemble.CopyIn(t.Context(), filepath.Join(dir, "missing"), dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// interfering changes a file when somebody looks at the context.
type interfering struct {
	context.Context
	change func() error
}

func (c interfering) Err() error { return c.change() }

func TestCopyInOfAFileThatChanges(t *testing.T) {
	src, dir := filepath.Join(t.TempDir(), "talk.mp4"), t.TempDir()
	if err := os.WriteFile(src, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx := interfering{t.Context(), func() error { return os.WriteFile(src, make([]byte, 2<<20), 0o644) }}
	if _, err := assemble.CopyIn(ctx, src, dir); !errors.Is(err, blockstore.ErrChanged) {
		t.Errorf("copied: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
