package blockstore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

func TestRemoveVideoKeepsWhatOthersShare(t *testing.T) {
	s, dir := open(t, t.TempDir()), t.TempDir()
	tail := noise(1, 2*pieceSize)
	long := add(t, s, sparse(t, filepath.Join(dir, "long"), blockSize+2*pieceSize, tail))
	short := add(t, s, write(t, filepath.Join(dir, "short"), tail))
	copied := filepath.Join(dir, "copy")
	add(t, s, sparse(t, copied, blockSize+2*pieceSize, tail))
	read(t, s, long.Block(0), 0, make([]byte, pieceSize))

	freed, err := s.RemoveVideo(long.CID())
	if err != nil || freed.Items == 0 || freed.Bytes == 0 {
		t.Errorf("freed %+v, %v", freed, err)
	}
	read(t, s, short.Block(0), 0, tail[:pieceSize])
	if places, err := s.Places(short.Block(0).Digest); err != nil || len(places) != 1 {
		t.Errorf("places %v, %v", places, err)
	}
	if err := readError(s, long.Block(0), 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("block of zeros: %v", err)
	}
	if _, err := s.Outboard(long.Block(0).Digest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("proof of zeros: %v", err)
	}
	_, videoErr := s.Video(long.CID())
	_, nodeErr := s.ManifestNode(long.CID())
	_, fileErr := s.FileAt(copied)
	for name, err := range map[string]error{"video": videoErr, "manifest": nodeErr, "file": fileErr} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(copied); err != nil {
		t.Errorf("the file itself: %v", err)
	}
	if freed, err := s.GC(t.Context()); err != nil || freed.Items != 0 {
		t.Errorf("%+v was left, %v", freed, err)
	}
}

func TestRemoveVideoBeingFetched(t *testing.T) {
	s := open(t, t.TempDir())
	f := startFetch(t, s, t.TempDir(), noise(1, pieceSize))
	f.commit(t, s, f.full(0), f.full(1))
	if _, err := s.RemoveVideo(f.m.CID()); err != nil {
		t.Fatal(err)
	}
	if err := s.CommitReceipt(f.m.CID(), []blockstore.ReceiptUpdate{f.full(1)}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("commit: %v", err)
	}
	if freed, err := s.GC(t.Context()); err != nil || freed.Items != 0 {
		t.Errorf("%+v was left, %v", freed, err)
	}
}

// Videos of over 512 GiB are trees of manifest nodes, and these three share
// one: the whole of the first is the left part of the others.
func TestTreesShareNodes(t *testing.T) {
	s, dir := open(t, t.TempDir()), t.TempDir()
	const nodeSpan = manifest.MaxLinks * blockSize
	half := add(t, s, sparse(t, filepath.Join(dir, "half"), nodeSpan, nil))
	one := add(t, s, sparse(t, filepath.Join(dir, "one"), nodeSpan+10*blockSize, noise(1, 100)))
	two := add(t, s, sparse(t, filepath.Join(dir, "two"), nodeSpan+20*blockSize, noise(2, 100)))
	remove := func(m *manifest.Manifest) {
		t.Helper()
		if _, err := s.RemoveVideo(m.CID()); err != nil {
			t.Fatal(err)
		}
	}
	whole := func(m *manifest.Manifest) {
		t.Helper()
		got, err := s.Manifest(t.Context(), m.CID())
		if err != nil || got.NumBlocks() != m.NumBlocks() {
			t.Fatalf("manifest of %d bytes: %v", m.Size(), err)
		}
		if held, err := s.Holdings(m); err != nil || !held.Complete() {
			t.Fatalf("video of %d bytes is not held: %v", m.Size(), err)
		}
	}
	whole(half)
	whole(one)
	remove(half)
	whole(one)
	whole(two)
	remove(one)
	whole(two)
	if freed, err := s.GC(t.Context()); err != nil || freed.Items != 0 {
		t.Errorf("%+v was left, %v", freed, err)
	}
	whole(two)
	remove(two)
	if _, err := s.ManifestNode(half.CID()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("shared node: %v", err)
	}
	if freed, err := s.GC(t.Context()); err != nil || freed.Items != 0 {
		t.Errorf("%+v was left, %v", freed, err)
	}
}
