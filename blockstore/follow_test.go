package blockstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/blockstore"
)

func remove(t *testing.T, s *blockstore.Store, n uint64) {
	t.Helper()
	if _, err := s.RemoveVideo(someCID(t, n)); err != nil {
		t.Fatal(err)
	}
}

// logged lists the log: names, and CIDs with a minus for removals.
func logged(t *testing.T, s *blockstore.Store, since uint64) (entries []string, last uint64) {
	t.Helper()
	last = since
	for e, err := range s.LogSince(since) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Video.Seq <= last {
			t.Fatalf("number %d after %d", e.Video.Seq, last)
		}
		name := e.Video.Name
		if e.Removed {
			name = "-" + e.Video.CID.String()
		}
		entries, last = append(entries, name), e.Video.Seq
	}
	return entries, last
}

func TestLogTellsOfRemovals(t *testing.T) {
	dir := t.TempDir()
	s, err := blockstore.Open(dir, blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	id := s.CatalogueID()
	put(t, s, 1, "a", "")
	put(t, s, 2, "b", "")
	var last uint64
	expect := func(since uint64, want ...string) {
		t.Helper()
		var got []string
		if got, last = logged(t, s, since); !slices.Equal(got, want) {
			t.Errorf("since %d: %v, want %v", since, got, want)
		}
	}
	gone := "-" + someCID(t, 1).String()
	expect(0, "a", "b")
	seen := last
	remove(t, s, 1)
	put(t, s, 3, "c", "")
	expect(0, "b", gone, "c")
	expect(seen, gone, "c")
	expect(last)
	if got, _ := names(t, s, 0); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("videos are %v", got)
	}

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if s.CatalogueID() != id {
		t.Error("another catalogue after opening it again")
	}
	expect(seen, gone, "c")
	seen = last
	put(t, s, 1, "a again", "")
	expect(0, "b", "c", "a again")
	expect(seen, "a again")
	remove(t, s, 1)
	expect(0, "b", "c", gone)
	expect(1<<64 - 1)
	if _, err := s.RemoveVideo(someCID(t, 1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("second removal: %v", err)
	}
	expect(0, "b", "c", gone)
}

func TestCatalogueIDs(t *testing.T) {
	a, b := open(t, t.TempDir()), open(t, t.TempDir())
	if a.CatalogueID() == b.CatalogueID() || a.CatalogueID() == [16]byte{} {
		t.Errorf("IDs are %x and %x", a.CatalogueID(), b.CatalogueID())
	}
}

// Removing a fetch that never came into the catalogue is nobody's affair.
func TestFetchGivenUpIsNoRemoval(t *testing.T) {
	s := open(t, t.TempDir())
	f := startFetch(t, s, t.TempDir(), noise(1, pieceSize))
	if _, err := s.RemoveVideo(f.m.CID()); err != nil {
		t.Fatal(err)
	}
	if got, _ := logged(t, s, 0); len(got) != 0 {
		t.Errorf("log is %v", got)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestChanged(t *testing.T) {
	s, dir := open(t, t.TempDir()), t.TempDir()
	expect := func(what string, want bool, do func()) {
		t.Helper()
		c := s.Changed()
		if closed(c) {
			t.Errorf("before %s: changed", what)
		}
		do()
		if closed(c) != want {
			t.Errorf("after %s: changed is %v", what, !want)
		}
	}
	path := write(t, filepath.Join(dir, "x"), noise(1, 100))
	expect("put", true, func() { put(t, s, 1, "a", "") })
	expect("the same", false, func() { put(t, s, 1, "a", "") })
	expect("import", true, func() { add(t, s, path) })
	expect("state", false, func() { putState(t, s, "k", "k", "") })
	expect("forgotten file", false, func() {
		if err := s.ForgetFile(path); err != nil {
			t.Error(err)
		}
	})
	expect("removal", true, func() { remove(t, s, 1) })
	expect("finish", true, func() { fetched(t, s, t.TempDir()) })
}

// fetched fetches a video.
func fetched(t *testing.T, s *blockstore.Store, dir string) {
	t.Helper()
	f := startFetch(t, s, dir, noise(9, pieceSize))
	f.commit(t, s, f.full(0), f.full(1))
	if err := s.Finish(f.m, blockstore.File{Path: f.part}, blockstore.Video{Name: "fetched"}); err != nil {
		t.Fatal(err)
	}
}

// Whoever follows the log while videos come, change and go has in the end what
// the catalogue has.
func TestFollowWhileItChanges(t *testing.T) {
	s := open(t, t.TempDir())
	const videos, rounds = 40, 8
	var writers sync.WaitGroup
	for w := range uint64(4) {
		writers.Go(func() {
			for i := range uint64(rounds * videos / 4) {
				n := w + 4*(i%(videos/4))
				err := s.PutVideo(blockstore.Video{CID: someCID(t, n), Name: fmt.Sprint(n, " ", i)})
				if err == nil && i%3 == 2 {
					_, err = s.RemoveVideo(someCID(t, n))
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	have := make(map[cid.Cid]string)
	last := uint64(0)
	for over := false; !over; {
		changed := s.Changed()
		over = closed(done) // then the log is read once more
		for e, err := range s.LogSince(last) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Video.Seq <= last {
				t.Fatalf("number %d after %d", e.Video.Seq, last)
			}
			if have[e.Video.CID] = e.Video.Name; e.Removed {
				delete(have, e.Video.CID)
			}
			last = e.Video.Seq
		}
		if !over {
			select {
			case <-changed:
			case <-done:
			}
		}
	}
	n := 0
	for v, err := range s.Videos() {
		if err != nil {
			t.Fatal(err)
		}
		if n++; have[v.CID] != v.Name {
			t.Errorf("%s is followed as %q", v.Name, have[v.CID])
		}
	}
	if n != len(have) || n == 0 || n == videos {
		t.Errorf("%d videos are followed as %d", n, len(have))
	}
}

func TestRecording(t *testing.T) {
	s, dir := open(t, t.TempDir()), t.TempDir()
	name := strings.Repeat("r", blockstore.MaxRecording)
	v := blockstore.Video{CID: someCID(t, 1), Name: "a", Recording: name}
	if err := s.PutVideo(v); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Video(v.CID); err != nil || got.Recording != name {
		t.Errorf("got %+v, %v", got, err)
	}
	v.Recording = "other"
	if err := s.PutVideo(v); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Video(v.CID); err != nil || got.Recording != "other" || got.Seq != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	v.Recording = name + "r"
	if err := s.PutVideo(v); err == nil {
		t.Error("long name of a recording is stored")
	}
	path := write(t, filepath.Join(dir, "x"), noise(1, 100))
	before := stamp(t, path)
	im := s.Import()
	defer im.Discard()
	m := split(t, path, im.Block)
	if err := im.Commit(m, blockstore.File{Path: path, Stamp: before}, v); err == nil {
		t.Error("long name of a recording is stored")
	}
	if _, err := s.FileAt(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("file: %v", err)
	}
}
