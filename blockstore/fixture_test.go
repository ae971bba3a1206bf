package blockstore_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/ipfs/go-cid"
	"go.uber.org/goleak"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

const (
	pieceSize = manifest.PieceSize
	blockSize = manifest.BlockSize
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		victim(dir)
		return
	}
	if dir := os.Getenv(fullDir); dir != "" {
		closeFull(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// open opens a store that is closed with the test.
func open(t testing.TB, dir string) *blockstore.Store {
	t.Helper()
	s, err := blockstore.Open(dir, blockstore.Config{})
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

// noise is n bytes that follow from seed.
func noise(seed byte, n int) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{seed})
	r.Read(data)
	return data
}

func write(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sparse makes a file of size bytes that ends with tail, zeros before.
func sparse(t testing.TB, path string, size int64, tail []byte) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(tail, size-int64(len(tail))); err != nil {
		t.Fatal(err)
	}
	return path
}

func stamp(t testing.TB, path string) blockstore.Stamp {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return blockstore.StampOf(info)
}

// split hashes a file of which all but the last block are holes if sparse.
func split(t testing.TB, path string, block func(manifest.Block, manifest.Outboard) error) *manifest.Manifest {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := stamp(t, path).Size
	hole := func(offset, n int64) bool { return size > 1<<30 && offset+n < size }
	m, err := manifest.Split(context.Background(), f, size, manifest.SplitConfig{Hole: hole, Block: block})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func manifestOf(t testing.TB, path string) *manifest.Manifest { return split(t, path, nil) }

// add adds the file at path under its base name.
func add(t testing.TB, s *blockstore.Store, path string) *manifest.Manifest {
	t.Helper()
	before := stamp(t, path)
	im := s.Import()
	defer im.Discard()
	m := split(t, path, im.Block)
	file := blockstore.File{Path: path, Stamp: before, Origin: blockstore.Added}
	if err := im.Commit(m, file, blockstore.Video{Name: filepath.Base(path)}); err != nil {
		t.Fatal(err)
	}
	return m
}

// read reads one piece, verified, and checks that it comes back as want.
func read(t testing.TB, s *blockstore.Store, b manifest.Block, piece int, want []byte) {
	t.Helper()
	data, proof, err := s.ReadPiece(t.Context(), b.Digest, b.Len, piece, make([]byte, pieceSize), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, want) {
		t.Fatalf("piece %d of block %d is not what was added", piece, b.Index)
	}
	if err := manifest.CheckPiece(b.Digest, b.Len, piece, data, proof); err != nil {
		t.Fatalf("piece %d of block %d: %v", piece, b.Index, err)
	}
}

// readError is the error of reading one piece, verified.
func readError(s *blockstore.Store, b manifest.Block, piece int) error {
	_, _, err := s.ReadPiece(context.Background(), b.Digest, b.Len, piece, make([]byte, pieceSize), nil)
	return err
}

func loadError(s *blockstore.Store, b manifest.Block, piece int) error {
	_, _, err := s.LoadPiece(context.Background(), b.Digest, b.Len, piece, make([]byte, pieceSize), nil)
	return err
}

func names(t testing.TB, s *blockstore.Store, since uint64) (names []string, last uint64) {
	t.Helper()
	for v, err := range s.VideosSince(since) {
		if err != nil {
			t.Fatal(err)
		}
		if v.Seq <= last {
			t.Fatalf("%s has number %d after %d", v.Name, v.Seq, last)
		}
		names, last = append(names, v.Name), v.Seq
	}
	return names, last
}

// someCID is the CID of a video that no file holds.
func someCID(t testing.TB, n uint64) cid.Cid {
	t.Helper()
	d := manifest.Digest{1, byte(n >> 16), byte(n >> 8), byte(n)}
	m, err := manifest.New(1, []manifest.Digest{d})
	if err != nil {
		t.Fatal(err)
	}
	return m.CID()
}

// nextTick waits until the file system's clock has moved on since the file at
// path was last changed: until then another change could bear the same time.
func nextTick(t testing.TB, path string) {
	t.Helper()
	probe := filepath.Join(t.TempDir(), "tick")
	for stamp(t, write(t, probe, nil)).ModTime <= stamp(t, path).ChangeTime {
		runtime.Gosched()
	}
}
