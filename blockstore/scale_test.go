package blockstore

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/vidsync/vidsync/manifest"
)

const (
	manyVideos = 20_000
	// What they may cost a process that has the index open, in bytes: two
	// memtables of 8 MiB, the block cache of 8 MiB, and the tables' indexes.
	manyVideosHeap = 40 << 20
)

func TestManyVideos(t *testing.T) {
	dir := t.TempDir()
	before := liveHeap()
	fillVideos(t, dir, manyVideos)

	s, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	most, n := int64(0), 0
	for v, err := range s.Videos() {
		if err != nil {
			t.Fatal(err)
		}
		if n++; v.Seq != uint64(n) {
			t.Fatalf("entry %d has number %d", n, v.Seq)
		}
		if n%(manyVideos/8) == 0 {
			most = max(most, liveHeap()-before)
		}
	}
	if n != manyVideos {
		t.Errorf("%d videos listed", n)
	}
	n = 0
	for l, err := range s.List("transcribe/") {
		if n++; err != nil || l.Seq != uint64(n) || len(l.Files) != 1 || l.Files[0].Video != l.CID || l.Job != nil {
			t.Fatalf("entry %d is %+v, %v", n, l, err)
		}
		if n%(manyVideos/8) == 0 {
			most = max(most, liveHeap()-before)
		}
	}
	if n != manyVideos {
		t.Errorf("%d videos listed with their files", n)
	}
	if most > manyVideosHeap {
		t.Errorf("%d MiB of heap in use while listing, limit %d", most>>20, manyVideosHeap>>20)
	}
}

// What a list of the catalogue costs in the index.
func BenchmarkListing(b *testing.B) {
	const videos = 100_000
	dir := b.TempDir()
	fillVideos(b, dir, videos)
	s, err := Open(dir, Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		n := 0
		for l, err := range s.List("transcribe/") {
			if err != nil {
				b.Fatal(err)
			}
			n += len(l.Files)
		}
		if n != videos {
			b.Fatalf("%d files", n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/list")
}

// fillVideos records n videos of one block each, many in a transaction.
func fillVideos(t testing.TB, dir string, n int) {
	t.Helper()
	s, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	for from := 0; from < n; from += batchBlocks {
		err := s.update(func(t txn) error {
			for i := from; i < min(n, from+batchBlocks); i++ {
				if err := putMadeUpVideo(s, t, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func putMadeUpVideo(s *Store, t txn, i int) error {
	block := manifest.Digest{1}
	binary.BigEndian.PutUint32(block[1:], uint32(i))
	m, err := manifest.New(manifest.BlockSize, []manifest.Digest{block})
	if err != nil {
		return err
	}
	if err := t.putSmallManifest(m); err != nil {
		return err
	}
	id := s.numbers.take()
	if err := t.putBlocks(id, []write{{m.Block(0), manifest.NewOutboard(manifest.BlockSize)}}); err != nil {
		return err
	}
	name := fmt.Sprintf("camera %d.mp4", i)
	_, err = s.publish(t, id, m, File{Path: "/videos/2026/" + name}, Video{Name: name, MediaType: "video/mp4"})
	return err
}

func liveHeap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
