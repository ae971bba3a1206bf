package blockstore_test

import (
	"path/filepath"
	"runtime"
	"testing"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// A sparse file of 2 TiB has one block 65,535 times.
func TestSparseFile(t *testing.T) {
	s := open(t, t.TempDir())
	m := add(t, s, sparse(t, filepath.Join(t.TempDir(), "a"), 2<<40, noise(1, pieceSize)))
	read(t, s, m.Block(0), 0, make([]byte, pieceSize))
	read(t, s, m.Block(m.NumBlocks()-1), 31, noise(1, pieceSize))
	if places, err := s.Places(m.Block(0).Digest); err != nil || len(places) == 0 || len(places) > 4 {
		t.Errorf("%d places, %v", len(places), err)
	}
	if freed, err := s.RemoveVideo(m.CID()); err != nil || freed.Items > 100 {
		t.Errorf("freed %+v, %v", freed, err)
	}
}

// What an import holds in memory does not grow with the file: 512 GiB of
// distinct blocks have 32 MiB of proofs.
func TestImportMemory(t *testing.T) {
	s := open(t, t.TempDir())
	blocks := digests(16384)
	before := liveHeap()
	im := importBlocks(t, s, blocks)
	defer im.Discard()
	// Badger fills two memtables of 8 MiB and its cache meanwhile.
	if grown := liveHeap() - before; grown > 40<<20 {
		t.Errorf("the import holds %d MiB", grown>>20)
	}
	size := int64(len(blocks)) * blockSize
	m, err := manifest.New(size, blocks)
	if err != nil {
		t.Fatal(err)
	}
	path := sparse(t, filepath.Join(t.TempDir(), "a"), size, nil)
	if err := im.Commit(m, blockstore.File{Path: path, Stamp: stamp(t, path)}, blockstore.Video{}); err != nil {
		t.Fatal(err)
	}
	if n := countProofs(t, s, blocks); n != len(blocks) {
		t.Errorf("%d of %d proofs", n, len(blocks))
	}
}

func liveHeap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
