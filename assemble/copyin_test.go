package assemble_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

func TestCopyIn(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 5<<20 + 17} {
		store, dir := newStore(t), filepath.Join(t.TempDir(), "new", "videos")
		for i, name := range []string{"talk.mp4", "talk (2).mp4"} {
			src := filepath.Join(t.TempDir(), "talk.mp4")
			data := append(bytes.Repeat([]byte{7}, size), make([]byte, i)...)
			check(t, os.WriteFile(src, data, 0o640))
			for range 2 { // the second time the copy is there
				var copied atomic.Int64
				path, v, err := assemble.CopyIn(t.Context(), store, src, dir, assemble.CopyConfig{Progress: func(n int64) { copied.Add(n) }})
				check(t, err)
				if path != filepath.Join(dir, name) || v.Name != "talk.mp4" || v.Size != int64(len(data)) || copied.Load() != v.Size {
					t.Errorf("%d bytes of %+v copied to %s, want %s", copied.Load(), v, path, name)
				}
				wantFile(t, path, data)
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
					t.Errorf("mode %v, %v", info.Mode(), err)
				}
				if f, err := store.FileAt(path); err != nil || f.Video != v.CID || f.Origin != blockstore.Copied {
					t.Errorf("on record: %+v, %v", f, err)
				}
			}
		}
		wantNames(t, dir, "talk (2).mp4", "talk.mp4")
	}
}

// A hole in the source is one in the copy.
func TestCopyInOfASparseFile(t *testing.T) {
	t.Parallel()
	src := filepath.Join(t.TempDir(), "talk.mp4")
	check(t, os.WriteFile(src, []byte("x"), 0o644))
	check(t, os.Truncate(src, 3*manifest.BlockSize))
	path, v, err := assemble.CopyIn(t.Context(), newStore(t), src, t.TempDir(), assemble.CopyConfig{})
	check(t, err)
	in, err := os.Open(path)
	check(t, err)
	defer in.Close()
	m, err := manifest.Split(t.Context(), in, v.Size, manifest.SplitConfig{})
	check(t, err)
	if m.CID() != v.CID || !assemble.IsHole(in, manifest.BlockSize, manifest.BlockSize) {
		t.Errorf("copied as %s, its bytes are %s", v.CID, m.CID())
	}
}

// Only the copies that notes speak of are removed, and notes that nothing came
// of go.
func TestSweepNoted(t *testing.T) {
	t.Parallel()
	store, dir := newStore(t), t.TempDir()
	stamp := func(name string) (string, blockstore.Stamp) {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, []byte(name), 0o644))
		info, err := os.Stat(path)
		check(t, err)
		return path, blockstore.StampOf(info)
	}
	ours, s := stamp("ours.mp4")
	check(t, assemble.NoteCopy(store, ours, s))
	other, s := stamp("other.mp4")
	s.Inode++
	check(t, assemble.NoteCopy(store, other, s))
	s.Device++
	check(t, assemble.NoteCopy(store, filepath.Join(dir, "unmounted.mp4"), s))
	s.Device--
	check(t, assemble.NoteCopy(store, filepath.Join(dir, "unnamed.mp4"), s))
	locked, s := stamp("locked.mp4")
	check(t, assemble.NoteCopy(store, locked, s))
	held, err := os.Open(locked)
	check(t, err)
	check(t, unix.Flock(int(held.Fd()), unix.LOCK_EX))

	removed, err := assemble.SweepNoted(store)
	if err != nil || !slices.Equal(removed, []string{ours}) || assemble.Notes(store) != 2 {
		t.Errorf("removed %v, %v; %d notes are left", removed, err, assemble.Notes(store))
	}
	wantNames(t, dir, "locked.mp4", "other.mp4")
	check(t, held.Close())
	if removed, err := assemble.SweepNoted(store); err != nil || !slices.Equal(removed, []string{locked}) {
		t.Errorf("removed %v, %v once it was not locked any more", removed, err)
	}
}

func copyIn(ctx context.Context, t *testing.T, src, dir string) error {
	_, _, err := assemble.CopyIn(ctx, newStore(t), src, dir, assemble.CopyConfig{})
	return err
}

func TestCopyInLeavesNothingBehind(t *testing.T) {
	src, dir := filepath.Join(t.TempDir(), "talk.mp4"), t.TempDir()
	if err := os.WriteFile(src, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := copyIn(ctx, t, src, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := copyIn(t.Context(), t, filepath.Join(dir, "missing"), dir); !errors.Is(err, os.ErrNotExist) {
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
	if err := copyIn(ctx, t, src, dir); !errors.Is(err, blockstore.ErrChanged) {
		t.Errorf("copied: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
