package assemble_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

const (
	// smallSize is two blocks: a full one, and one whose last piece is unaligned.
	smallSize = manifest.BlockSize + 3*manifest.PieceSize + 4321
	// tinySize is one short block of six pieces, the last one unaligned.
	tinySize = 5*manifest.PieceSize + 4321
)

// sample is a video whose bytes are known.
type sample struct {
	data      []byte
	m         *manifest.Manifest
	outboards []manifest.Outboard
}

var (
	small = sync.OnceValue(func() *sample { return mustSample(randomBytes(1, smallSize)) })
	tiny  = sync.OnceValue(func() *sample { return mustSample(randomBytes(2, tinySize)) })
)

func mustSample(data []byte) *sample {
	s, err := newSample(data)
	if err != nil {
		panic(err)
	}
	return s
}

func newSample(data []byte) (*sample, error) {
	s := &sample{data: data, outboards: make([]manifest.Outboard, manifest.NumBlocks(int64(len(data))))}
	var err error
	s.m, err = manifest.Split(context.Background(), bytes.NewReader(data), int64(len(data)), manifest.SplitConfig{
		Block: func(b manifest.Block, o manifest.Outboard) error {
			s.outboards[b.Index] = o
			return nil
		},
	})
	return s, err
}

// randomBytes returns n bytes that start on a page.
func randomBytes(seed byte, n int) []byte {
	buf := assemble.AlignedBuffer(n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(buf)
	return buf
}

type pieceRef struct{ block, piece int }

func (s *sample) pieces() []pieceRef {
	var refs []pieceRef
	for b := range s.m.NumBlocks() {
		for p := range manifest.NumPieces(s.m.Block(b).Len) {
			refs = append(refs, pieceRef{b, p})
		}
	}
	return refs
}

func (s *sample) piece(r pieceRef) (data, proof []byte) {
	b := s.m.Block(r.block)
	from := b.Offset + int64(r.piece)*manifest.PieceSize
	return s.data[from : from+int64(manifest.PieceLen(b.Len, r.piece))],
		s.outboards[r.block].AppendProof(nil, b.Len, r.piece)
}

func (s *sample) put(f *assemble.File, refs ...pieceRef) error {
	for _, r := range refs {
		data, proof := s.piece(r)
		if err := f.Put(context.Background(), r.block, r.piece, data, proof); err != nil {
			return err
		}
	}
	return nil
}

// putAll puts pieces in random order from many goroutines, some of them twice.
func (s *sample) putAll(f *assemble.File) error {
	refs := s.pieces()
	refs = append(refs, refs[:len(refs)/4]...)
	rand.Shuffle(len(refs), func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
	var g errgroup.Group
	g.SetLimit(8)
	for _, r := range refs {
		g.Go(func() error { return s.put(f, r) })
	}
	return g.Wait()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func newStore(t testing.TB) *blockstore.Store {
	t.Helper()
	s, err := blockstore.Open(t.TempDir(), blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// openFile opens a file that is closed when the test ends, if not before.
func openFile(t testing.TB, store *blockstore.Store, s *sample, target assemble.Target, cfg assemble.Config) *assemble.File {
	t.Helper()
	f, err := assemble.Open(context.Background(), store, s.m, target, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func finish(t testing.TB, f *assemble.File) string {
	t.Helper()
	path, err := f.Finish(context.Background(), blockstore.Video{})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func wantFile(t testing.TB, path string, data []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("%s has other bytes than were meant for it", path)
	}
}

// wantNames checks what lies in a folder.
func wantNames(t testing.TB, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if len(got) != len(want) {
		t.Fatalf("%s contains %q, want %q", dir, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s contains %q, want %q", dir, got, want)
		}
	}
}

// wantRecorded checks that the index knows the file as the video.
func wantRecorded(t testing.TB, store *blockstore.Store, path string, s *sample) {
	t.Helper()
	file, err := store.FileAt(path)
	if err != nil {
		t.Fatal(err)
	}
	if !file.Video.Equals(s.m.CID()) {
		t.Fatalf("index has video %s at %s, want %s", file.Video, path, s.m.CID())
	}
	if _, err := store.Receipt(s.m.CID()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("receipt of a finished video: got %v, want none", err)
	}
	if v, err := store.Video(s.m.CID()); err != nil || v.Name == "" {
		t.Fatalf("catalogue entry: %+v, %v", v, err)
	}
}

// addFile puts a file with the video into the index, as add does.
func addFile(t testing.TB, store *blockstore.Store, path string, s *sample) {
	t.Helper()
	if err := os.WriteFile(path, s.data, 0o644); err != nil {
		t.Fatal(err)
	}
	index(t, store, path, s)
}

// addRotten is addFile of a file with one wrong byte: it looks as it did when
// it was added.
func addRotten(t testing.TB, store *blockstore.Store, path string, s *sample, offset int64) {
	t.Helper()
	data := append([]byte(nil), s.data...)
	data[offset] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	index(t, store, path, s)
}

// index records that the file at path is the video.
func index(t testing.TB, store *blockstore.Store, path string, s *sample) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	im := store.Import()
	for i, o := range s.outboards {
		if err := im.Block(s.m.Block(i), o); err != nil {
			t.Fatal(err)
		}
	}
	err = im.Commit(s.m, blockstore.File{Path: path, Stamp: blockstore.StampOf(info), Origin: blockstore.Added},
		blockstore.Video{Name: filepath.Base(path)})
	if err != nil {
		t.Fatal(err)
	}
}
