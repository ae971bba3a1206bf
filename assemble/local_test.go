package assemble_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// fillLocal fills f and returns how many bytes that brought.
func fillLocal(t *testing.T, f *assemble.File) int64 {
	t.Helper()
	var n atomic.Int64
	check(t, f.FillLocal(t.Context(), func(bytes int64) { n.Add(bytes) }))
	have, _ := f.Holdings()
	if n.Load() != have.Bytes() {
		t.Fatalf("%d bytes reported, %d held", n.Load(), have.Bytes())
	}
	return n.Load()
}

func TestFillLocal(t *testing.T) {
	t.Parallel()
	s := small()
	for name, direct := range map[string]bool{"direct writes": true, "no direct writes": false} {
		t.Run(name, func(t *testing.T) {
			store, dir := newStore(t), t.TempDir()
			addFile(t, store, filepath.Join(dir, "source"), s)
			f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "copy"}, assemble.Config{})
			if !direct {
				f.RefuseDirect()
			}
			if n := fillLocal(t, f); n != smallSize {
				t.Fatalf("%d bytes filled, want %d", n, smallSize)
			}
			check(t, f.Close()) // receipted like any other piece
			f = openFile(t, store, s, assemble.Target{Dir: dir, Name: "copy"}, assemble.Config{})
			path := finish(t, f)
			wantFile(t, path, s.data)
			wantRecorded(t, store, path, s)
			wantServed(t, f, s)
		})
	}
}

// Only what is here is filled: one block of two is in another video.
func TestFillLocalPartly(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), small(), t.TempDir()
	addFile(t, store, filepath.Join(dir, "tail"), mustSample(s.data[manifest.BlockSize:]))
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	check(t, s.put(f, pieceRef{1, 0}))
	var n int64
	check(t, f.FillLocal(t.Context(), func(bytes int64) { n += bytes }))
	have, _ := f.Holdings()
	if !have.Full(1) || have.Mask(0) != 0 || n != smallSize-manifest.BlockSize-manifest.PieceSize {
		t.Fatalf("%d bytes filled, masks %b and %b", n, have.Mask(0), have.Mask(1))
	}
	check(t, s.putAll(f))
	wantFile(t, finish(t, f), s.data)
}

// A source that lies is passed over, as far as it lies.
func TestFillLocalFromBadSource(t *testing.T) {
	t.Parallel()
	s := tiny()
	spoiled := func(spoil func(path string) error) func(*testing.T, *blockstore.Store, string) {
		return func(t *testing.T, store *blockstore.Store, path string) {
			addFile(t, store, path, s)
			check(t, spoil(path))
		}
	}
	tests := []struct {
		name string
		add  func(t *testing.T, store *blockstore.Store, path string)
		held uint32 // of the block, with direct writes
	}{
		{"changed", spoiled(func(path string) error { return os.WriteFile(path, make([]byte, tinySize), 0o644) }), 0},
		{"cut", spoiled(func(path string) error { return os.Truncate(path, 1<<20) }), 0},
		{"gone", spoiled(os.Remove), 0},
		{"a pipe", spoiled(func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o644)) }), 0},
		{"rotten", func(t *testing.T, store *blockstore.Store, path string) {
			addRotten(t, store, path, s, 2*manifest.PieceSize+5)
		}, 0b11},
	}
	for _, tt := range tests {
		for _, direct := range []bool{true, false} {
			t.Run(tt.name, func(t *testing.T) {
				store, dir := newStore(t), t.TempDir()
				source := filepath.Join(dir, "source")
				tt.add(t, store, source)
				f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
				want := tt.held
				if !direct {
					f.RefuseDirect()
				}
				if !direct && want != 0 {
					want = 0b111011 // copied as a whole, so what follows the lie is found too
				}
				fillLocal(t, f)
				if have, _ := f.Holdings(); have.Mask(0) != want {
					t.Fatalf("mask %b after filling, want %b", have.Mask(0), want)
				}
				check(t, s.putAll(f))
				wantFile(t, finish(t, f), s.data)
			})
		}
	}
}

// A verified piece is not overwritten by what a source has in its place.
func TestFillLocalKeepsWhatIsHeld(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), t.TempDir()
	addRotten(t, store, filepath.Join(dir, "source"), s, 2*manifest.PieceSize+5)
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	f.RefuseDirect()
	check(t, s.put(f, pieceRef{0, 2}))
	check(t, f.FillLocal(t.Context(), nil))
	wantFile(t, finish(t, f), s.data)
}

// A good source behind a bad one is found.
func TestFillLocalTriesEverySource(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), t.TempDir()
	for _, name := range []string{"1", "2", "4"} {
		addRotten(t, store, filepath.Join(dir, name), s, 3*manifest.PieceSize)
	}
	addFile(t, store, filepath.Join(dir, "3"), s)
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	if n := fillLocal(t, f); n != tinySize {
		t.Fatalf("%d bytes filled", n)
	}
	wantFile(t, finish(t, f), s.data)
}

// zeroFirst is a block of zeros and then a short block of other bytes.
var zeroFirst = sync.OnceValue(func() *sample {
	return mustSample(append(make([]byte, manifest.BlockSize), tiny().data...))
})

// Blocks of zeros need neither a source nor, at first, a write.
func TestFillLocalZeros(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before func(t *testing.T, f *assemble.File)
	}{
		{"in a fresh part file", func(*testing.T, *assemble.File) {}},
		{"after one piece", func(t *testing.T, f *assemble.File) { check(t, zeroFirst().put(f, pieceRef{0, 7})) }},
		{"over other bytes", func(t *testing.T, f *assemble.File) { corrupt(t, f.Part(), 4*manifest.PieceSize) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, s, dir := newStore(t), zeroFirst(), t.TempDir()
			f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
			tt.before(t, f)
			check(t, f.FillLocal(t.Context(), nil))
			if have, _ := f.Holdings(); !have.Full(0) || have.Mask(1) != 0 {
				t.Fatalf("masks %b and %b", have.Mask(0), have.Mask(1))
			}
			check(t, s.putAll(f))
			wantFile(t, finish(t, f), s.data)
			wantServed(t, f, s)
		})
	}
}

// repeating is a video of three blocks, the first and the last the same.
var repeating = sync.OnceValue(func() *sample {
	a, b := small().data[:manifest.BlockSize], randomBytes(3, manifest.BlockSize)
	return mustSample(bytes.Join([][]byte{a, b, a}, nil))
})

// A block that the video has twice is put once.
func TestRepeatsAreCopied(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), repeating(), t.TempDir()
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	ctx, stop := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return f.Run(ctx) })
	check(t, s.put(f, s.pieces()[manifest.PiecesPerBlock:]...))
	for have, changed := f.Holdings(); !have.Complete(); have, changed = f.Holdings() {
		<-changed
	}
	stop()
	check(t, g.Wait())
	wantFile(t, finish(t, f), s.data)
	wantServed(t, f, s)
}

// FillLocal copies inside the video as well: here after a resume.
func TestFillLocalFromSelf(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), repeating(), t.TempDir()
	target := assemble.Target{Dir: dir, Name: "a"}
	f := openFile(t, store, s, target, assemble.Config{})
	check(t, s.put(f, s.pieces()[:2*manifest.PiecesPerBlock]...))
	check(t, f.Close())
	f = openFile(t, store, s, target, assemble.Config{})
	var n int64
	check(t, f.FillLocal(t.Context(), func(bytes int64) { n += bytes }))
	if n != manifest.BlockSize {
		t.Fatalf("%d bytes filled, want a block", n)
	}
	wantFile(t, finish(t, f), s.data)
}

// Pieces from peers and from other files at the same time.
func TestFillLocalWhilePutting(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), small(), t.TempDir()
	addRotten(t, store, filepath.Join(dir, "source"), s, 20*manifest.PieceSize)
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	f.RefuseDirect() // so that whole blocks are copied over
	var g errgroup.Group
	g.Go(func() error { return f.FillLocal(t.Context(), nil) })
	g.Go(func() error { return s.putAll(f) })
	check(t, g.Wait())
	wantFile(t, finish(t, f), s.data)
}

func TestFillLocalEndsWithContext(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), small(), t.TempDir()
	addFile(t, store, filepath.Join(dir, "source"), s)
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	err := f.FillLocal(ctx, func(int64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if have, _ := f.Holdings(); have.Complete() {
		t.Fatal("went on to the end")
	}
}
