package assemble_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// cutTo cuts a file to each of the sizes in turn.
func cutTo(sizes ...int64) func(part string) error {
	return func(part string) error {
		for _, size := range sizes {
			if err := os.Truncate(part, size); err != nil {
				return err
			}
		}
		return nil
	}
}

// A part file that is cut while pieces come never becomes the video.
func TestCutWhileFetching(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cut  func(part string) error
	}{
		{"to nothing", cutTo(0)},
		{"to half", cutTo(smallSize / 2)},
		{"to nothing and back", cutTo(0, smallSize)},
		{"to half and back", cutTo(smallSize/2, smallSize)},
	}
	for _, tt := range tests {
		for _, receipt := range []bool{false, true} {
			name := tt.name
			if receipt {
				name += ", after a receipt"
			}
			t.Run(name, func(t *testing.T) { testCutWhileFetching(t, tt.cut, receipt) })
		}
	}
}

func testCutWhileFetching(t *testing.T, cut func(part string) error, receipt bool) {
	store, s, dir := newStore(t), small(), t.TempDir()
	target := assemble.Target{Dir: dir, Name: "a"}
	f := openFile(t, store, s, target, assemble.Config{})
	refs := s.pieces()
	check(t, s.put(f, refs[:20]...))
	if receipt {
		check(t, f.Checkpoint())
	}
	check(t, cut(f.Part()))
	check(t, s.put(f, refs[20:]...))
	_, err := f.Finish(t.Context(), blockstore.Video{})
	if !errors.Is(err, assemble.ErrPartLost) && !errors.Is(err, assemble.ErrIncomplete) {
		t.Fatalf("finish: %v", err)
	}
	wantNames(t, dir, "a.part")
	check(t, f.Close())

	f = openFile(t, store, s, target, assemble.Config{})
	wantHeldOnDisk(t, f, s)
	check(t, s.putAll(f))
	wantFile(t, finish(t, f), s.data)
}

// wantHeldOnDisk checks that what f holds is in its part file.
func wantHeldOnDisk(t *testing.T, f *assemble.File, s *sample) {
	t.Helper()
	part, err := os.ReadFile(f.Part())
	check(t, err)
	have, _ := f.Holdings()
	for _, ref := range s.pieces() {
		if !have.Has(ref.block, ref.piece) {
			continue
		}
		want, _ := s.piece(ref)
		from := s.m.Block(ref.block).Offset + int64(ref.piece)*manifest.PieceSize
		if !bytes.Equal(part[from:from+int64(len(want))], want) {
			t.Fatalf("piece %v is held and wrong on disk", ref)
		}
	}
}

// Only what was cut off between two runs is fetched again, even if another Open
// came and took its space, and somebody read the part file after that.
func TestCutBetweenRuns(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cut  int64
		held int // of the first 20 pieces
	}{
		{"to nothing", 0, 0},
		{"to ten pieces", 10 * manifest.PieceSize, 10},
		{"inside a piece", 10*manifest.PieceSize + 8192, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, s := newStore(t), small()
			target := assemble.Target{Dir: t.TempDir(), Name: "a"}
			f := openFile(t, store, s, target, assemble.Config{})
			check(t, s.put(f, s.pieces()[:20]...))
			check(t, f.Close())
			check(t, cutTo(tt.cut, smallSize)(f.Part()))
			for range 2 {
				f = openFile(t, store, s, target, assemble.Config{})
				wantHeldOnDisk(t, f, s)
				if have, _ := f.Holdings(); have.Pieces() != tt.held {
					t.Fatalf("%d pieces held, want %d", have.Pieces(), tt.held)
				}
				check(t, f.Close())
			}
			f = openFile(t, store, s, target, assemble.Config{})
			check(t, s.putAll(f))
			wantFile(t, finish(t, f), s.data)
		})
	}
}

// A local source with holes does not make the part file look cut.
func TestFillLocalFromHoles(t *testing.T) {
	t.Parallel()
	data := bytes.Clone(small().data)
	clear(data[:8*manifest.PieceSize])
	s := mustSample(data)
	for _, kind := range []string{"btrfs", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			store, dir := newStore(t), mountImage(t, kind)
			source := dir + "/source"
			check(t, os.WriteFile(source, data, 0o644))
			punch(t, source, 8*manifest.PieceSize)
			index(t, store, source, s)
			f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
			if n := fillLocal(t, f); n != smallSize {
				t.Fatalf("%d bytes filled", n)
			}
			wantFile(t, finish(t, f), data)
			check(t, f.Close())
		})
	}
}

// punch makes a hole of the first n bytes of a file.
func punch(t *testing.T, path string, n int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	defer file.Close()
	check(t, unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, n))
	check(t, file.Sync())
}
