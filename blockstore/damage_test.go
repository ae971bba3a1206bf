package blockstore_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// filledIndex makes an index with tables and logs, and returns its folder.
func filledIndex(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "index")
	for round := range 2 {
		s, err := blockstore.Open(dir, blockstore.Config{})
		if err != nil {
			t.Fatal(err)
		}
		im := s.Import()
		const blocks = 600
		ds := digests(blocks)
		for i := range ds {
			binary.BigEndian.PutUint32(ds[i][28:], uint32(round))
			o := manifest.NewOutboard(blockSize)
			copy(o, noise(byte(i), len(o)))
			if err := im.Block(manifest.Block{Index: i, Digest: ds[i], Len: blockSize}, o); err != nil {
				t.Fatal(err)
			}
		}
		path := sparse(t, filepath.Join(filepath.Dir(dir), fmt.Sprint(round)), blocks*blockSize, nil)
		m, err := manifest.New(blocks*blockSize, ds)
		if err != nil {
			t.Fatal(err)
		}
		if err := im.Commit(m, blockstore.File{Path: path, Stamp: stamp(t, path)}, blockstore.Video{Name: fmt.Sprint(round)}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// only is the one file of those that match, or the last.
func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return slices.Max(found)
}

func change(t *testing.T, path string, do func(data []byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, do(data))
}

func cut(n int) func([]byte) []byte { return func(data []byte) []byte { return data[:n] } }

func flip(at func(n int) int) func([]byte) []byte {
	return func(data []byte) []byte {
		data[at(len(data))] ^= 0x40
		return data
	}
}

func garbage(from, to func(n int) int) func([]byte) []byte {
	return func(data []byte) []byte {
		part := data[from(len(data)):to(len(data))]
		copy(part, noise(77, len(part)))
		return data
	}
}

func start(int) int    { return 0 }
func middle(n int) int { return n / 2 }
func end(n int) int    { return n }
func last(n int) int   { return n - 1 }

// A damaged index is an error that says what to do, and nothing of it is
// deleted: whether it was closed or its process killed.
func TestDamagedIndex(t *testing.T) {
	whole := filledIndex(t)
	afterKill := []bool{false, true}
	for name, c := range map[string]struct {
		file   string
		damage func([]byte) []byte // nil: it is gone
		killed []bool              // found after a kill, too
	}{
		"manifest empty":       {"MANIFEST", cut(0), afterKill},
		"manifest in its head": {"MANIFEST", cut(6), afterKill},
		"manifest cut":         {"MANIFEST", cut(20), afterKill[:1]},
		"manifest flipped":     {"MANIFEST", flip(last), afterKill},
		"manifest gone":        {"MANIFEST", nil, afterKill},
		"manifest garbage":     {"MANIFEST", garbage(start, end), afterKill},
		"table gone":           {"*.sst", nil, afterKill},
		"table empty":          {"*.sst", cut(0), afterKill},
		"table cut":            {"*.sst", cut(5000), afterKill},
		"table start":          {"*.sst", garbage(start, func(int) int { return 100 }), afterKill},
		"table middle":         {"*.sst", garbage(middle, func(n int) int { return n/2 + 100 }), afterKill},
		"table end":            {"*.sst", garbage(func(n int) int { return n - 100 }, end), afterKill},
		"table all":            {"*.sst", garbage(start, end), afterKill},
		"table flipped":        {"*.sst", flip(middle), afterKill},
		"table flipped last":   {"*.sst", flip(last), afterKill},
		"log head":             {"*.vlog", flip(start), afterKill},
		"log gone":             {"000001.vlog", nil, afterKill[:1]},
		"log cut":              {"000001.vlog", cut(100_000), afterKill[:1]},
		"log grown":            {"000001.vlog", func(b []byte) []byte { return append(b, 0) }, afterKill[:1]},
		"registry":             {"KEYREGISTRY", garbage(start, end), afterKill},
		"registry cut":         {"KEYREGISTRY", cut(10), afterKill},
		"format":               {"FORMAT", flip(func(int) int { return 0 }), afterKill},
	} {
		for _, killed := range c.killed {
			t.Run(fmt.Sprint(name, " killed ", killed), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "index")
				if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
					t.Fatal(err)
				}
				if killed {
					if err := os.Remove(filepath.Join(dir, "CLOSED")); err != nil {
						t.Fatal(err)
					}
				}
				if path := only(t, dir, c.file); c.damage != nil {
					change(t, path, c.damage)
				} else if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				checkRefused(t, dir)
			})
		}
	}
}

// checkRefused checks that a damaged index is refused, again and again.
func checkRefused(t *testing.T, dir string) {
	t.Helper()
	before := snapshot(t, dir)
	for range 2 {
		s, err := blockstore.Open(dir, blockstore.Config{})
		if err == nil {
			t.Fatal("opened", s.Close())
		}
		if !errors.Is(err, blockstore.ErrDamaged) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "vidsync doctor --rebuild") {
			t.Errorf("error is %v", err)
		}
	}
	after := snapshot(t, dir)
	for path := range before {
		if ext := filepath.Ext(path); ext == ".sst" || ext == ".vlog" || filepath.Base(path) == "MANIFEST" {
			if before[path].content != after[path].content {
				t.Errorf("%s was changed", filepath.Base(path))
			}
		}
	}
	moved, err := blockstore.SetAside(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if len(snapshot(t, moved)) != len(after) {
		t.Errorf("%s is not all of it", moved)
	}
	open(t, dir)
}

// A flipped byte in the proofs does not keep the index from being opened. What
// it hit is an error, and the rest is as it was.
func TestFlippedProof(t *testing.T) {
	dir := filledIndex(t)
	change(t, filepath.Join(dir, "000001.vlog"), func(data []byte) []byte {
		data[bytes.Index(data, noise(100, 500))+1000] ^= 1
		return data
	})
	s := open(t, dir)
	failed, right := 0, 0
	for i, d := range digests(600) {
		binary.BigEndian.PutUint32(d[28:], 0)
		o, err := s.Outboard(d)
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			failed++
		case err == nil && bytes.Equal(o, noise(byte(i), len(o))):
			right++
		default:
			t.Errorf("proof %d is another, %v", i, err)
		}
	}
	if failed != 1 || right != 599 {
		t.Errorf("%d proofs failed and %d are right", failed, right)
	}
	// Adding the blocks again mends it.
	d := digests(600)[100:]
	for i := range d {
		binary.BigEndian.PutUint32(d[i][28:], 0)
	}
	importBlocks(t, s, d)
	for _, d := range d {
		if _, err := s.Outboard(d); err != nil {
			t.Error(err)
		}
	}
}

// The record of how an index was closed is for the next start only.
func TestClosedRecordIsUsedOnce(t *testing.T) {
	dir := filledIndex(t)
	s, err := blockstore.Open(dir, blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "CLOSED")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("record while the index is open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	record, err := os.ReadFile(filepath.Join(dir, "CLOSED"))
	if err != nil {
		t.Fatal(err)
	}
	// A program that does not know the record has the index open meanwhile.
	s, err = blockstore.Open(dir, blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutJob(blockstore.Job{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "CLOSED"), record)
	s = open(t, dir)
	if _, err := s.Job("x"); err != nil {
		t.Error(err)
	}
}

func TestSetAside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	now := time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)
	if _, err := blockstore.SetAside(dir, now); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	for _, want := range []string{".damaged-20261123-040506", ".damaged-20261123-040506-2"} {
		s, err := blockstore.Open(dir, blockstore.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := blockstore.SetAside(dir, now); !errors.Is(err, blockstore.ErrInUse) {
			t.Errorf("open index: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		before := slices.Sorted(maps.Keys(snapshot(t, dir)))
		moved, err := blockstore.SetAside(dir+"/", now)
		if err != nil || moved != dir+want {
			t.Errorf("moved to %s, %v", moved, err)
		}
		if after := snapshot(t, moved); len(after) != len(before) {
			t.Errorf("%d files of %d", len(after), len(before))
		}
	}
}

// What the system refuses is no damage.
func TestIndexThatMayNotBeRead(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := filledIndex(t)
	if err := os.Chmod(only(t, dir, "*.sst"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := blockstore.Open(dir, blockstore.Config{}); errors.Is(err, blockstore.ErrDamaged) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error is %v", err)
	}
}
