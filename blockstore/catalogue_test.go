package blockstore_test

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/vidsync/vidsync/blockstore"
)

func put(t *testing.T, s *blockstore.Store, n uint64, name, state string) {
	t.Helper()
	if err := s.PutVideo(blockstore.Video{CID: someCID(t, n), Name: name, State: state}); err != nil {
		t.Fatal(err)
	}
}

func TestVideoRoundTrip(t *testing.T) {
	s := open(t, t.TempDir())
	want := blockstore.Video{
		CID: someCID(t, 7), Name: "Saal 1 \xff.mkv", MediaType: "video/x-matroska", Size: 1 << 40, Blocks: 1 << 15,
		Added: time.Unix(1700000000, 5).UTC(), State: "whole", Signer: "12D3", RelPath: "day 1/Saal 1.mkv",
	}
	if err := s.PutVideo(want); err != nil {
		t.Fatal(err)
	}
	want.Seq = 1
	if got, err := s.Video(want.CID); err != nil || got != want {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestCatalogueLog(t *testing.T) {
	dir := t.TempDir()
	s, err := blockstore.Open(dir, blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, 1, "a", "")
	put(t, s, 2, "b", "")
	put(t, s, 3, "c", "")
	expect := func(since uint64, want ...string) uint64 {
		t.Helper()
		got, last := names(t, s, since)
		if !slices.Equal(got, want) {
			t.Errorf("since %d: %v, want %v", since, got, want)
		}
		return last
	}
	last := expect(0, "a", "b", "c")
	expect(last)

	put(t, s, 2, "b", "") // nothing new
	expect(last)
	put(t, s, 1, "a", "transcribed")
	last = expect(last, "a")
	expect(0, "b", "c", "a")

	// The last entry goes, and the index is opened again: its number must not
	// be given to another.
	if _, err := s.RemoveVideo(someCID(t, 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	put(t, s, 4, "d", "")
	expect(last, "d")
	expect(0, "b", "c", "d")
	expect(1<<64 - 1)
	if _, err := s.Video(someCID(t, 1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed video: %v", err)
	}
}

// A consumer may change the catalogue while it reads it.
func TestCatalogueChangesWhileListed(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range uint64(300) {
		put(t, s, i, "v", "")
	}
	seen := 0
	for v, err := range s.Videos() {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen%2 == 0 {
			if _, err := s.RemoveVideo(v.CID); err != nil {
				t.Fatal(err)
			}
		}
		if seen == 250 {
			break
		}
	}
	if got, _ := names(t, s, 0); len(got) != 300-125 {
		t.Errorf("%d entries left, want 175", len(got))
	}
}

func TestAddedIsKept(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, 1, "a", "")
	before, err := s.Video(someCID(t, 1))
	if err != nil || before.Added.IsZero() {
		t.Fatal(before, err)
	}
	put(t, s, 1, "b", "")
	if after, err := s.Video(someCID(t, 1)); err != nil || !after.Added.Equal(before.Added) {
		t.Errorf("added %v, then %v, %v", before.Added, after.Added, err)
	}
}
