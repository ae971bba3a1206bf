package blockstore_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// digests are n made-up blocks: their bytes are nowhere.
func digests(n int) []manifest.Digest {
	out := make([]manifest.Digest, n)
	for i := range out {
		binary.BigEndian.PutUint32(out[i][:], uint32(i)*2654435761)
		out[i][31] = 1
	}
	return out
}

// importBlocks gives made-up blocks to a new import.
func importBlocks(t testing.TB, s *blockstore.Store, blocks []manifest.Digest) *blockstore.Import {
	t.Helper()
	im := s.Import()
	for i, d := range blocks {
		b := manifest.Block{Index: i, Digest: d, Offset: int64(i) * blockSize, Len: blockSize}
		if err := im.Block(b, manifest.NewOutboard(blockSize)); err != nil {
			t.Fatal(err)
		}
	}
	return im
}

func countProofs(t testing.TB, s *blockstore.Store, blocks []manifest.Digest) (n int) {
	t.Helper()
	for _, d := range blocks {
		_, err := s.Outboard(d)
		switch {
		case err == nil:
			n++
		case !errors.Is(err, fs.ErrNotExist):
			t.Fatal(err)
		}
	}
	return n
}

func TestDiscardLeavesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	blocks := digests(700)
	importBlocks(t, s, blocks).Discard()
	if n := countProofs(t, s, blocks); n != 0 {
		t.Errorf("%d proofs left", n)
	}
	if freed, err := s.GC(t.Context()); err != nil || freed.Items != 0 {
		t.Errorf("%+v was left, %v", freed, err)
	}
}

// abandon leaves an import as a crash would.
func abandon(t *testing.T, dir string, blocks []manifest.Digest) {
	t.Helper()
	s, err := blockstore.Open(dir, blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	importBlocks(t, s, blocks)
	if n := countProofs(t, s, blocks); n == 0 {
		t.Fatal("nothing was written on the way")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAbandonedImportIsCollected(t *testing.T) {
	dir, blocks := t.TempDir(), digests(700)
	abandon(t, dir, blocks)
	s := open(t, dir)
	freed, err := s.GC(t.Context())
	if err != nil || freed.Bytes < 512*int64(manifest.OutboardLen(blockSize)) {
		t.Errorf("freed %+v, %v", freed, err)
	}
	if n := countProofs(t, s, blocks); n != 0 {
		t.Errorf("%d proofs left", n)
	}
	if freed, err := s.GC(t.Context()); err != nil || freed.Items != 0 {
		t.Errorf("second time: %+v, %v", freed, err)
	}
}

// An import counts on proofs that an earlier, abandoned one left, while GC is
// after them.
func TestGCDuringImport(t *testing.T) {
	dir, blocks := t.TempDir(), digests(2000)
	abandon(t, dir, blocks)
	s := open(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if _, err := s.GC(ctx); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
	size := int64(len(blocks)) * blockSize
	m, err := manifest.New(size, blocks)
	if err != nil {
		t.Fatal(err)
	}
	path := sparse(t, filepath.Join(t.TempDir(), "a"), size, nil)
	im := importBlocks(t, s, blocks)
	if err := im.Commit(m, blockstore.File{Path: path, Stamp: stamp(t, path)}, blockstore.Video{}); err != nil {
		t.Fatal(err)
	}
	cancel()
	wg.Wait()
	if _, err := s.GC(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := countProofs(t, s, blocks); n != len(blocks) {
		t.Errorf("%d of %d proofs left", n, len(blocks))
	}
	if _, err := s.Manifest(t.Context(), m.CID()); err != nil {
		t.Error(err)
	}
}

func TestGCDuringReceipt(t *testing.T) {
	s := open(t, t.TempDir())
	f := startFetch(t, s, t.TempDir(), noise(1, 2*pieceSize))
	f.commit(t, s, f.full(0), f.update(1, 1))
	if freed, err := s.GC(t.Context()); err != nil || freed.Items != 0 {
		t.Errorf("freed %+v, %v", freed, err)
	}
	if r, err := s.Receipt(f.m.CID()); err != nil || len(r.Masks) != 2 {
		t.Errorf("receipt %+v, %v", r, err)
	}
	if _, err := s.ReceiptOutboard(f.m.CID(), f.m.Block(0)); err != nil {
		t.Error(err)
	}
}

func TestManifestNobodyRefersTo(t *testing.T) {
	dir := t.TempDir()
	m := manifestOf(t, write(t, filepath.Join(t.TempDir(), "a"), noise(1, 10)))
	s, err := blockstore.Open(dir, blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutManifest(m); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GC(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Manifest(t.Context(), m.CID()); err != nil {
		t.Errorf("collected before a receipt could refer to it: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if freed, err := s.GC(t.Context()); err != nil || freed.Items != 1 {
		t.Errorf("freed %+v, %v", freed, err)
	}
}

func TestGCEndsWithContext(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.GC(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("GC: %v", err)
	}
}
