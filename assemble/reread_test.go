package assemble_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// reread reads f back and checks how many bytes that gave up, and that the rest
// of what was held was reported as right.
func reread(t *testing.T, f *assemble.File, lost int64) {
	t.Helper()
	have, _ := f.Holdings()
	var right atomic.Int64
	got, err := f.Reread(t.Context(), func(n int64) { right.Add(n) })
	check(t, err)
	if got != lost || right.Load() != have.Bytes()-lost {
		t.Fatalf("%d bytes given up and %d right, want %d and %d", got, right.Load(), lost, have.Bytes()-lost)
	}
}

// Bytes that are overwritten in place after their piece was checked are found,
// and only their pieces are fetched again.
func TestReread(t *testing.T) {
	t.Parallel()
	store, s := newStore(t), small()
	target := assemble.Target{Dir: t.TempDir(), Name: "a"}
	f := openFile(t, store, s, target, assemble.Config{})
	check(t, s.putAll(f))
	reread(t, f, 0)
	for _, offset := range []int64{0, 5*manifest.PieceSize + 77, 6*manifest.PieceSize - 1, manifest.BlockSize, smallSize - 1} {
		corrupt(t, f.Part(), offset)
	}
	reread(t, f, 3*manifest.PieceSize+4321)
	_, err := f.Finish(t.Context(), blockstore.Video{})
	wantErr(t, err, assemble.ErrIncomplete)
	check(t, f.Close())

	f = openFile(t, store, s, target, assemble.Config{})
	have, _ := f.Holdings()
	last := len(s.pieces()) - manifest.PiecesPerBlock - 1
	for _, ref := range []pieceRef{{0, 0}, {0, 5}, {1, 0}, {1, last}} {
		if have.Has(ref.block, ref.piece) {
			t.Errorf("piece %v is held after reopening", ref)
		}
		check(t, s.put(f, ref))
	}
	if have.Pieces() != len(s.pieces())-4 {
		t.Fatalf("%d pieces held, 4 of %d were wrong", have.Pieces(), len(s.pieces()))
	}
	reread(t, f, 0)
	path := finish(t, f)
	wantFile(t, path, s.data)
	reread(t, f, 0) // by the index's proofs now
	corrupt(t, path, 99)
	_, err = f.Reread(t.Context(), nil)
	wantErr(t, err, manifest.ErrCorrupt)
}

// What is not held is not read, and what was cut off is given up.
func TestRereadOfPartOfAVideo(t *testing.T) {
	t.Parallel()
	store, s := newStore(t), small()
	f := openFile(t, store, s, assemble.Target{Dir: t.TempDir(), Name: "a"}, assemble.Config{})
	reread(t, f, 0)
	check(t, s.put(f, pieceRef{0, 3}, pieceRef{1, 3}))
	corrupt(t, f.Part(), manifest.PieceSize) // nobody's
	reread(t, f, 0)
	check(t, os.Truncate(f.Part(), manifest.BlockSize+manifest.PieceSize))
	lost, err := f.Reread(t.Context(), nil)
	wantErr(t, err, assemble.ErrPartLost) // a receipt is not possible any more
	if have, _ := f.Holdings(); lost != 4321 || have.Pieces() != 1 {
		t.Fatalf("%d bytes given up, %d pieces held", lost, have.Pieces())
	}
}

// Without reads past the page cache a file is read all the same.
func TestRereadThroughTheCache(t *testing.T) {
	t.Parallel()
	f, direct, err := assemble.OpenPastCache("/proc/self/status") // no direct reads here
	check(t, err)
	defer f.Close()
	if direct {
		t.Fatal("a file of the proc file system is read past the page cache")
	}
	if n, err := f.Read(make([]byte, 100)); n == 0 {
		t.Fatal(err)
	}
}

func TestRereadEnds(t *testing.T) {
	t.Parallel()
	store, s := newStore(t), small()
	f := openFile(t, store, s, assemble.Target{Dir: t.TempDir(), Name: "a"}, assemble.Config{})
	check(t, s.putAll(f))
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := f.Reread(ctx, func(int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	check(t, os.Remove(f.Part()))
	if _, err := f.Reread(t.Context(), nil); !errors.Is(err, syscall.ENOENT) {
		t.Fatalf("part file removed: %v", err)
	}
	check(t, f.Close())
	if _, err := f.Reread(t.Context(), nil); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("closed: %v", err)
	}
}
