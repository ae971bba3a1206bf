package blockstore

import (
	"encoding/binary"
	"testing"

	"github.com/vidsync/vidsync/manifest"
)

// bury puts made-up removals into the log.
func bury(t *testing.T, s *Store, from, to int) {
	t.Helper()
	for ; from < to; from += batchKeys / 8 {
		err := s.update(func(t txn) error {
			for i := from; i < min(to, from+batchKeys/8); i++ {
				if err := t.bury(madeUpDigest(i), ""); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func madeUpDigest(i int) manifest.Digest {
	d := manifest.Digest{1}
	binary.BigEndian.PutUint32(d[1:], uint32(i))
	return d
}

func removals(t *testing.T, s *Store) (n int, first uint64) {
	t.Helper()
	for e, err := range s.LogSince(0) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			first = e.Video.Seq
		}
	}
	return n, first
}

// A removal says which recordings the video was.
func TestTombstoneOfRecordings(t *testing.T) {
	s, err := Open(t.TempDir(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	video := videoCID(madeUpDigest(1))
	if err := s.PutVideo(Video{CID: video, Recording: "one two"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RemoveVideo(video); err != nil {
		t.Fatal(err)
	}
	for e, err := range s.LogSince(0) {
		if err != nil || !e.Removed || e.Video.CID != video || e.Video.Recording != "one two" {
			t.Errorf("%+v, %v", e, err)
		}
	}
	for _, size := range []int{0, 31, 32 + MaxRecording + 1} {
		if _, _, err := decodeTomb(make([]byte, size)); err == nil {
			t.Errorf("a removal in %d bytes is taken", size)
		}
	}
}

func TestTombstonesAreBounded(t *testing.T) {
	s, err := Open(t.TempDir(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	bury(t, s, 0, maxTombstones)
	if n, first := removals(t, s); n != maxTombstones || first != 1 {
		t.Errorf("%d removals from %d", n, first)
	}
	// One that comes again makes room for one more.
	if err := s.PutVideo(Video{CID: videoCID(madeUpDigest(5)), Name: "again"}); err != nil {
		t.Fatal(err)
	}
	bury(t, s, maxTombstones, maxTombstones+4)
	if n, first := removals(t, s); n != maxTombstones+1 || first != 4 {
		t.Errorf("%d entries from %d", n, first)
	}
	err = s.view(func(t1 txn) error {
		kept := 0
		for range t1.keys([]byte{buriedKey}, []byte{buriedKey}) {
			kept++
		}
		if kept != maxTombstones {
			t.Errorf("%d videos are remembered as removed", kept)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// An index of a program that did not know of tombstones has none and no
// identity. Such a program leaves a tombstone where a video is again.
func TestIndexOfEarlierProgram(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	bury(t, s, 0, 1)
	err = s.update(func(t txn) error {
		d := madeUpDigest(0)
		if err := t.enlist(d, Video{CID: videoCID(d), Name: "again"}); err != nil {
			return err
		}
		return t.Delete([]byte{identityKey})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, Config{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.CatalogueID() == [16]byte{} {
		t.Error("catalogue has no ID")
	}
	var last LogEntry
	for e, err := range s.LogSince(0) {
		if err != nil {
			t.Fatal(err)
		}
		last = e
	}
	if last.Removed || last.Video.Name != "again" {
		t.Errorf("last entry is %+v", last)
	}
	if _, err := s.RemoveVideo(last.Video.CID); err != nil {
		t.Error(err)
	}
}
