package blockstore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/vidsync/vidsync/blockstore"
)

func TestMoveFile(t *testing.T) {
	dir := t.TempDir()
	s := journaled(t, dir)
	data := noise(1, 2*pieceSize+5)
	a, b := write(t, filepath.Join(dir, "a"), data), filepath.Join(dir, "b")
	m := add(t, s, a)
	replaced := add(t, s, write(t, b, noise(2, 100)))
	before, err := s.FileRecord(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(a, b); err != nil {
		t.Fatal(err)
	}
	if err := s.MoveFile(a, b, stamp(t, b), blockstore.StoreState("k", "moved", []byte("b"))); err != nil {
		t.Fatal(err)
	}
	if v, err := s.State("k", "moved"); err != nil || string(v) != "b" {
		t.Errorf("what was to be stored with it: %q, %v", v, err)
	}
	read(t, s, m.Block(0), 1, data[pieceSize:2*pieceSize])
	if f, err := s.FileAt(b); err != nil || f.Video != m.CID() || !f.When.Equal(before.When) || f.Stamp != stamp(t, b) {
		t.Errorf("at the new path: %+v, %v", f, err)
	}
	if _, err := s.FileRecord(a); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("at the old path: %v", err)
	}
	if files, err := s.Files(m.CID()); err != nil || len(files) != 1 || files[0].Path != b {
		t.Errorf("files: %+v, %v", files, err)
	}
	if files, err := s.Files(replaced.CID()); err != nil || len(files) != 0 {
		t.Errorf("files of what was replaced: %+v, %v", files, err)
	}
	expectJournal(t, dir, "b a")
	closeStore(t, s)
	s = journaled(t, dir)
	defer closeStore(t, s)
	read(t, s, m.Block(0), 0, data[:pieceSize])
}

func TestMoveFileRefusals(t *testing.T) {
	changed := func(err error) bool { return errors.Is(err, blockstore.ErrChanged) }
	gone := func(err error) bool { return errors.Is(err, fs.ErrNotExist) }
	tests := map[string]struct {
		do   func(from, to string) error
		edit func(st *blockstore.Stamp)
		want func(error) bool
	}{
		"another size":      {os.Rename, func(st *blockstore.Stamp) { st.Size++ }, changed},
		"another inode":     {os.Rename, func(st *blockstore.Stamp) { st.Inode++ }, changed},
		"another device":    {os.Rename, func(st *blockstore.Stamp) { st.Device++ }, changed},
		"another time":      {os.Rename, func(st *blockstore.Stamp) { st.ModTime++ }, changed},
		"an old look":       {os.Rename, func(st *blockstore.Stamp) { st.ChangeTime-- }, changed},
		"another file":      {func(_, to string) error { return os.WriteFile(to, noise(3, 100), 0o600) }, func(*blockstore.Stamp) {}, changed},
		"nothing there":     {func(from, _ string) error { return os.Remove(from) }, func(*blockstore.Stamp) {}, gone},
		"nothing on record": {func(_, to string) error { return os.Rename(to+".other", to) }, func(*blockstore.Stamp) {}, gone},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, t.TempDir())
			from, to := write(t, filepath.Join(dir, "a"), noise(1, 100)), filepath.Join(dir, "b")
			write(t, to+".other", noise(2, 100))
			m := add(t, s, from)
			st := stamp(t, from)
			if err := test.do(from, to); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(to); err == nil {
				st = blockstore.StampOf(info)
			}
			test.edit(&st)
			old := from
			if name == "nothing on record" {
				old = to + ".other"
			}
			if err := s.MoveFile(old, to, st, blockstore.StoreState("k", "moved", nil)); !test.want(err) {
				t.Errorf("got %v", err)
			}
			if _, err := s.State("k", "moved"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what was to be stored with it: %v", err)
			}
			if f, err := s.FileRecord(from); err != nil || f.Video != m.CID() {
				t.Errorf("record after the refusal: %+v, %v", f, err)
			}
		})
	}
}

func TestRestampFiles(t *testing.T) {
	s := open(t, t.TempDir())
	path := write(t, filepath.Join(t.TempDir(), "a"), noise(1, 100))
	add(t, s, path)
	now := stamp(t, path)
	other, edited := now, now
	other.Device, other.Inode = now.Device+1, now.Inode+1
	edited.ChangeTime++
	if err := s.RestampFiles(map[string]blockstore.Stamp{path: other, path + ".never": other}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.FileAt(path); !errors.Is(err, blockstore.ErrChanged) {
		t.Errorf("with other numbers: %v", err)
	}
	if err := s.RestampFiles(map[string]blockstore.Stamp{path: now}); err != nil {
		t.Fatal(err)
	}
	if err := s.RestampFiles(map[string]blockstore.Stamp{path: edited}); err != nil {
		t.Fatal(err)
	}
	if f, err := s.FileAt(path); err != nil || f.Stamp != now {
		t.Errorf("got %+v, %v, want %+v", f.Stamp, err, now)
	}
}
