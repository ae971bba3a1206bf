package blockstore_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// What becomes of a file after it was added, and what a read then gives.
func TestFileThatIsNotAsAdded(t *testing.T) {
	data := noise(1, 2*pieceSize+77)
	changed := func(err error) bool { return errors.Is(err, blockstore.ErrChanged) }
	gone := func(err error) bool { return errors.Is(err, fs.ErrNotExist) }
	tests := map[string]struct {
		do     func(path string) error
		want   func(error) bool
		fileAt func(error) bool
	}{
		"edited in place":   {func(p string) error { return overwrite(p, 5, []byte("new")) }, changed, changed},
		"truncated":         {func(p string) error { return os.Truncate(p, 100) }, changed, changed},
		"grown":             {func(p string) error { return os.Truncate(p, int64(len(data)+1)) }, changed, changed},
		"touched":           {func(p string) error { return os.Chtimes(p, time.Time{}, time.Unix(1, 0)) }, changed, changed},
		"edited, date kept": {editKeepingDate, changed, changed},
		"replaced by another": {func(p string) error {
			return errors.Join(os.WriteFile(p+".new", noise(2, len(data)), 0o600), os.Rename(p+".new", p))
		}, changed, changed},
		"replaced by a folder": {func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, changed, changed},
		"removed":              {os.Remove, gone, gone},
		"moved":                {func(p string) error { return os.Rename(p, p+".old") }, gone, gone},
	}
	for name, test := range tests {
		for _, warm := range []bool{false, true} {
			t.Run(name+map[bool]string{false: " unread", true: " while open"}[warm], func(t *testing.T) {
				s := open(t, t.TempDir())
				path := write(t, filepath.Join(t.TempDir(), "a.mp4"), data)
				m := add(t, s, path)
				if warm {
					read(t, s, m.Block(0), 0, data[:pieceSize])
				}
				nextTick(t, path)
				if err := test.do(path); err != nil {
					t.Fatal(err)
				}
				for _, err := range []error{readError(s, m.Block(0), 0), loadError(s, m.Block(0), 2)} {
					if !test.want(err) {
						t.Errorf("read: %v", err)
					}
				}
				if _, err := s.FileAt(path); !test.fileAt(err) {
					t.Errorf("FileAt: %v", err)
				}
				checkNothingHeld(t, s, m)
			})
		}
	}
}

func checkNothingHeld(t *testing.T, s *blockstore.Store, m *manifest.Manifest) {
	t.Helper()
	if held, err := s.Holdings(m); err != nil || held.Bytes() != 0 {
		t.Errorf("holds %d bytes, %v", held.Bytes(), err)
	}
	if places, err := s.Places(m.Block(0).Digest); err != nil || len(places) != 0 {
		t.Errorf("places %v, %v", places, err)
	}
}

func overwrite(path string, offset int64, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, offset)
	return errors.Join(err, f.Close())
}

func editKeepingDate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return errors.Join(overwrite(path, 0, []byte("x")), os.Chtimes(path, time.Time{}, info.ModTime()))
}

func TestMovedFileAddedAgain(t *testing.T) {
	s, dir := open(t, t.TempDir()), t.TempDir()
	data := noise(1, pieceSize+1)
	before := write(t, filepath.Join(dir, "a"), data)
	m := add(t, s, before)
	after := filepath.Join(dir, "b")
	if err := os.Rename(before, after); err != nil {
		t.Fatal(err)
	}
	add(t, s, after)
	read(t, s, m.Block(0), 1, data[pieceSize:])
	if files, err := s.Files(m.CID()); err != nil || len(files) != 2 {
		t.Errorf("files %v, %v", files, err)
	}
	if err := s.ForgetFile(before); err != nil {
		t.Fatal(err)
	}
	read(t, s, m.Block(0), 0, data[:pieceSize])
	if files, err := s.Files(m.CID()); err != nil || len(files) != 1 || files[0].Path != after {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestFileAtOfUnchangedFile(t *testing.T) {
	s := open(t, t.TempDir())
	path := write(t, filepath.Join(t.TempDir(), "a"), noise(1, 10))
	m := add(t, s, path)
	f, err := s.FileAt(path)
	if err != nil || f.Path != path || !f.Video.Equals(m.CID()) || f.Stamp != stamp(t, path) || f.Origin != blockstore.Added || f.When.IsZero() {
		t.Errorf("file is %+v, %v", f, err)
	}
}

// The tail of a long video is the whole of a short one.
func TestBlockSharedBetweenFiles(t *testing.T) {
	s, dir := open(t, t.TempDir()), t.TempDir()
	tail := noise(3, 2*pieceSize)
	long := add(t, s, sparse(t, filepath.Join(dir, "long"), blockSize+2*pieceSize, tail))
	shortPath := write(t, filepath.Join(dir, "short"), tail)
	short := manifestOf(t, shortPath)

	if held, err := s.Holdings(short); err != nil || !held.Complete() {
		t.Errorf("the short video is not held before it is added: %v", err)
	}
	read(t, s, short.Block(0), 1, tail[pieceSize:])
	add(t, s, shortPath)
	if places, err := s.Places(short.Block(0).Digest); err != nil || len(places) != 2 {
		t.Errorf("places %v, %v", places, err)
	}
	if err := os.Remove(filepath.Join(dir, "long")); err != nil {
		t.Fatal(err)
	}
	read(t, s, long.Block(1), 0, tail[:pieceSize])
	if held, err := s.Holdings(long); err != nil || held.Full(0) || !held.Full(1) {
		t.Errorf("of the long video, block 0 held: %v, block 1: %v, %v", held.Full(0), held.Full(1), err)
	}
}

// Any one of several places that is still good serves.
func TestSeveralPlaces(t *testing.T) {
	data := noise(1, 2*pieceSize)
	spoil := map[string]func(path string) error{
		"gone":    os.Remove,
		"changed": func(p string) error { return overwrite(p, 0, []byte("x")) },
		"corrupt": func(p string) error { return corrupt(p, 0) },
	}
	for name, spoil := range spoil {
		for good := range 3 {
			t.Run(name, func(t *testing.T) {
				s, dir := open(t, t.TempDir()), t.TempDir()
				var m *manifest.Manifest
				paths := []string{"a", "b", "c"}
				for i := range paths {
					paths[i] = write(t, filepath.Join(dir, paths[i]), data)
					m = add(t, s, paths[i])
				}
				read(t, s, m.Block(0), 0, data[:pieceSize])
				for i, path := range paths {
					if i == good {
						continue
					}
					nextTick(t, path)
					if err := spoil(path); err != nil {
						t.Fatal(err)
					}
					if name == "corrupt" {
						restamp(t, s, path, m)
					}
				}
				read(t, s, m.Block(0), 0, data[:pieceSize])
				read(t, s, m.Block(0), 1, data[pieceSize:])
			})
		}
	}
}

// corrupt changes one byte.
func corrupt(path string, offset int64) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return overwrite(path, offset, []byte{data[offset] ^ 1})
}

// restamp makes the store believe that the file at path is m as it is now, as
// if the disk had changed the bytes by itself.
func restamp(t *testing.T, s *blockstore.Store, path string, m *manifest.Manifest) {
	t.Helper()
	im := s.Import()
	defer im.Discard()
	for i := range m.NumBlocks() {
		o, err := s.Outboard(m.Block(i).Digest)
		if err != nil {
			t.Fatal(err)
		}
		if err := im.Block(m.Block(i), o); err != nil {
			t.Fatal(err)
		}
	}
	if err := im.Commit(m, blockstore.File{Path: path, Stamp: stamp(t, path)}, blockstore.Video{}); err != nil {
		t.Fatal(err)
	}
}

func TestCorruptByteNamesFileAndRange(t *testing.T) {
	s := open(t, t.TempDir())
	tail := noise(1, 2*pieceSize+10)
	path := sparse(t, filepath.Join(t.TempDir(), "a"), blockSize+int64(len(tail)), tail)
	m := add(t, s, path)
	if err := corrupt(path, blockSize+2*pieceSize+3); err != nil {
		t.Fatal(err)
	}
	restamp(t, s, path, m)
	read(t, s, m.Block(1), 1, tail[pieceSize:2*pieceSize])
	err := readError(s, m.Block(1), 2)
	found, ok := errors.AsType[*blockstore.CorruptError](err)
	if !ok || !errors.Is(err, manifest.ErrCorrupt) {
		t.Fatalf("read: %v, want a CorruptError", err)
	}
	want := blockstore.CorruptError{Path: path, Offset: blockSize + 2*pieceSize, Length: 10}
	if *found != want {
		t.Errorf("error names %+v, want %+v", *found, want)
	}
	if err := loadError(s, m.Block(1), 2); err != nil {
		t.Errorf("load without check: %v", err)
	}
}

func TestCommitRefuses(t *testing.T) {
	s, dir := open(t, t.TempDir()), t.TempDir()
	path := write(t, filepath.Join(dir, "a"), noise(1, 100))
	file := blockstore.File{Path: path, Stamp: stamp(t, path)}
	t.Run("a file that changed meanwhile", func(t *testing.T) {
		im := s.Import()
		defer im.Discard()
		m := split(t, path, im.Block)
		stale := file
		stale.Stamp.ModTime--
		if err := im.Commit(m, stale, blockstore.Video{}); !errors.Is(err, blockstore.ErrChanged) {
			t.Errorf("commit: %v, want ErrChanged", err)
		}
	})
	t.Run("blocks that are missing", func(t *testing.T) {
		im := s.Import()
		defer im.Discard()
		if err := im.Commit(manifestOf(t, path), file, blockstore.Video{}); err == nil {
			t.Error("committed")
		}
	})
	t.Run("a relative path", func(t *testing.T) {
		im := s.Import()
		defer im.Discard()
		m := split(t, path, im.Block)
		if err := im.Commit(m, blockstore.File{Path: "a", Stamp: file.Stamp}, blockstore.Video{}); err == nil {
			t.Error("committed")
		}
	})
	if got, _ := names(t, s, 0); len(got) != 0 {
		t.Errorf("the catalogue has %v", got)
	}
}

func TestReplacedFileServesOnlyTheNewVideo(t *testing.T) {
	s := open(t, t.TempDir())
	path := write(t, filepath.Join(t.TempDir(), "a"), noise(1, 100))
	old := add(t, s, path)
	nextTick(t, path)
	write(t, path, noise(2, 100))
	m := add(t, s, path)
	read(t, s, m.Block(0), 0, noise(2, 100))
	if err := readError(s, old.Block(0), 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("old video: %v", err)
	}
	if files, err := s.Files(old.CID()); err != nil || len(files) != 0 {
		t.Errorf("files of the old video: %v, %v", files, err)
	}
	if _, err := s.Outboard(old.Block(0).Digest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("proof of the old video: %v", err)
	}
}

func TestReadRefusesBadArguments(t *testing.T) {
	s := open(t, t.TempDir())
	data := noise(1, 2*pieceSize)
	b := add(t, s, write(t, filepath.Join(t.TempDir(), "a"), data)).Block(0)
	buf := make([]byte, pieceSize)
	tests := map[string]struct {
		blockLen int64
		piece    int
		buf      []byte
	}{
		"no such piece":   {b.Len, 2, buf},
		"negative piece":  {b.Len, -1, buf},
		"small buffer":    {b.Len, 0, buf[:10]},
		"other length":    {b.Len + 1, 0, buf},
		"zero length":     {0, 0, buf},
		"too long":        {blockSize + 1, 0, buf},
		"negative length": {-1, 0, buf},
	}
	for name, test := range tests {
		if _, _, err := s.ReadPiece(t.Context(), b.Digest, test.blockLen, test.piece, test.buf, nil); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	if got, _, err := s.ReadPiece(t.Context(), b.Digest, b.Len, 1, buf, nil); err != nil || !bytes.Equal(got, data[pieceSize:]) {
		t.Errorf("read: %v", err)
	}
}

func TestMoreFilesThanHandles(t *testing.T) {
	s, dir := open(t, t.TempDir()), t.TempDir()
	var blocks []manifest.Block
	for i := range 40 {
		path := write(t, filepath.Join(dir, string(rune('A'+i))), noise(byte(i), 10))
		blocks = append(blocks, add(t, s, path).Block(0))
	}
	for range 2 {
		for i, b := range blocks {
			read(t, s, b, 0, noise(byte(i), 10))
		}
	}
}
