package blockstore

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/vidsync/vidsync/manifest"
)

// proof is the made-up proof of block i.
func proof(i int) manifest.Outboard {
	o := manifest.NewOutboard(manifest.BlockSize)
	copy(o, bytes.Repeat([]byte{byte(i), byte(i >> 8), 1}, len(o)/3))
	return o
}

// fillLogs gives blocks to an import that is not committed, every tenth to
// another, and ends the first.
func fillLogs(t *testing.T, s *Store, n int) (kept *Import) {
	t.Helper()
	gone, kept := s.Import(), s.Import()
	for i := range n {
		im := gone
		if i%10 == 0 {
			im = kept
		}
		if err := im.Block(manifest.Block{Index: i, Digest: madeUpDigest(i), Len: manifest.BlockSize}, proof(i)); err != nil {
			t.Fatal(err)
		}
	}
	gone.Discard()
	return kept
}

func checkKept(t *testing.T, s *Store, n int) {
	t.Helper()
	for i := 0; i < n/batchBlocks*batchBlocks; i += 10 {
		if o, err := s.Outboard(madeUpDigest(i)); err != nil || !bytes.Equal(o, proof(i)) {
			t.Fatalf("proof %d: %v", i, err)
		}
	}
}

// The space of proofs that are gone comes back, and the others stay.
func TestGCGivesSpaceBack(t *testing.T) {
	const blocks = 40 * batchBlocks // 20 MiB of proofs
	dir := t.TempDir()
	s, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	fillLogs(t, s, blocks)
	checkKept(t, s, blocks)
	// The log that is being written stays as it is: open again to begin another.
	s.writing.Lock()
	clear(s.active)
	s.writing.Unlock()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, Config{}); err != nil {
		t.Fatal(err)
	}
	before := closedLogs(t, dir)
	if err := s.reclaim(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkKept(t, s, blocks)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after := closedLogs(t, dir); before < 16<<20 || after > 4<<20 {
		t.Errorf("logs of %d MiB have %d MiB now", before>>20, after>>20)
	}
	if s, err = Open(dir, Config{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	checkKept(t, s, blocks)
}

// closedLogs is the size of the logs but the one that is being written, which
// has its full size from the start.
func closedLogs(t *testing.T, dir string) (size int64) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range logs {
		st, err := stampAt(path)
		if err != nil {
			t.Fatal(err)
		}
		if st.Size < 2*valueLogBytes {
			size += st.Size
		}
	}
	return size
}

func TestReclaimOnlyWhenGrown(t *testing.T) {
	s, err := Open(t.TempDir(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := s.reclaimed
	if err := s.reclaimGrown(t.Context()); err != nil || s.reclaimed != before {
		t.Errorf("reclaimed at %d, %v", s.reclaimed, err)
	}
	s.reclaimed = -reclaimSlack
	if err := s.reclaimGrown(t.Context()); err != nil || s.reclaimed <= 0 {
		t.Errorf("not reclaimed: %d, %v", s.reclaimed, err)
	}
}
