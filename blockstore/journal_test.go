package blockstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/blockstore"
)

// journaled opens a store with its journal in dir.
func journaled(t *testing.T, dir string) *blockstore.Store {
	t.Helper()
	s, err := blockstore.Open(filepath.Join(dir, "index"), blockstore.Config{
		Journal:   filepath.Join(dir, "files.jsonl"),
		Journaled: func(j blockstore.Job) bool { return j.Kind == "fetch" && j.State != "done" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// journal lists what a journal says is so: paths with names, and job IDs. It
// counts the damaged lines.
func journal(t *testing.T, path string) (entries []string, damaged int) {
	t.Helper()
	for e, err := range blockstore.ReadJournal(path) {
		switch {
		case err != nil:
			damaged++
		case e.Job.ID != "":
			entries = append(entries, "job "+e.Job.ID)
		default:
			entries = append(entries, filepath.Base(e.File.Path)+" "+e.Video.Name)
		}
	}
	return entries, damaged
}

func expectJournal(t *testing.T, dir string, want ...string) {
	t.Helper()
	got, damaged := journal(t, filepath.Join(dir, "files.jsonl"))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || damaged != 0 {
		t.Errorf("journal has %q and %d damaged lines, want %q", got, damaged, want)
	}
}

func closeStore(t *testing.T, s *blockstore.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestJournalFollowsIndex(t *testing.T) {
	dir := t.TempDir()
	s := journaled(t, dir)
	a := write(t, filepath.Join(dir, "a"), noise(1, 100))
	b := write(t, filepath.Join(dir, "b"), noise(1, 100)) // the same video
	c := write(t, filepath.Join(dir, "c"), noise(2, 100))
	m := add(t, s, a)
	expectJournal(t, dir, "a a")
	add(t, s, b)
	add(t, s, c)
	// The second add renamed the video, which is in both files.
	expectJournal(t, dir, "a b", "b b", "c c")
	v, err := s.Video(m.CID())
	if err != nil {
		t.Fatal(err)
	}
	v.Name = "both"
	if err := s.PutVideo(v); err != nil {
		t.Fatal(err)
	}
	expectJournal(t, dir, "c c", "a both", "b both")
	write(t, c, noise(3, 200))
	changed := add(t, s, c)
	expectJournal(t, dir, "a both", "b both", "c c")
	if err := s.ForgetFile(a); err != nil {
		t.Fatal(err)
	}
	expectJournal(t, dir, "b both", "c c")
	if _, err := s.RemoveVideo(m.CID()); err != nil {
		t.Fatal(err)
	}
	expectJournal(t, dir, "c c")
	closeStore(t, s)
	expectJournal(t, dir, "c c")
	for e, err := range blockstore.ReadJournal(filepath.Join(dir, "files.jsonl")) {
		if err != nil || !e.File.Video.Equals(changed.CID()) || e.File.Stamp.Size != 200 || e.Video.Size != 200 {
			t.Errorf("entry is %+v, %v", e, err)
		}
	}
}

func TestJournalOfJobs(t *testing.T) {
	dir := t.TempDir()
	s := journaled(t, dir)
	defer closeStore(t, s)
	if err := s.Apply(blockstore.StoreJob(blockstore.Job{ID: "never", Kind: "fetch"}), blockstore.StoreJob(blockstore.Job{})); err == nil {
		t.Error("stored a job without ID")
	}
	expectJournal(t, dir)
	job := blockstore.Job{ID: "x", Kind: "fetch", Video: someCID(t, 1), Spec: []byte{0, 255}, Created: time.Unix(1700000000, 0).UTC()}
	other := blockstore.Job{ID: "y", Kind: "transcribe"}
	if err := s.Apply(blockstore.StoreJob(job), blockstore.StoreJob(other)); err != nil {
		t.Fatal(err)
	}
	for e, err := range blockstore.ReadJournal(filepath.Join(dir, "files.jsonl")) {
		if err != nil || !reflect.DeepEqual(e.Job, job) {
			t.Errorf("got %+v, %v, want %+v", e.Job, err, job)
		}
	}
	size := stamp(t, filepath.Join(dir, "files.jsonl")).Size
	job.Attempts, job.State = 3, "waiting"
	if err := s.PutJob(job); err != nil {
		t.Fatal(err)
	}
	if now := stamp(t, filepath.Join(dir, "files.jsonl")).Size; now != size {
		t.Errorf("an attempt made the journal grow by %d bytes", now-size)
	}
	job.State = "done"
	if err := s.PutJob(job); err != nil {
		t.Fatal(err)
	}
	expectJournal(t, dir)
	job.State = "queued"
	if err := s.PutJob(job); err != nil {
		t.Fatal(err)
	}
	expectJournal(t, dir, "job x")
	if err := errors.Join(s.RemoveJob("x"), s.RemoveJob("y"), s.RemoveJob("never")); err != nil {
		t.Fatal(err)
	}
	expectJournal(t, dir)
}

func TestJournalOfFetch(t *testing.T) {
	dir := t.TempDir()
	s := journaled(t, dir)
	defer closeStore(t, s)
	f := startFetch(t, s, dir, noise(9, pieceSize))
	job := blockstore.Job{ID: "f", Kind: "fetch", Video: f.m.CID()}
	if err := s.PutJob(job); err != nil {
		t.Fatal(err)
	}
	f.commit(t, s, f.full(0), f.full(1))
	expectJournal(t, dir, "job f")
	job.State = "done"
	for range 2 { // it may be repeated
		if err := s.Finish(f.m, blockstore.File{Path: f.part}, blockstore.Video{Name: "talk"}, job); err != nil {
			t.Fatal(err)
		}
		expectJournal(t, dir, "v.part talk")
	}
}

func TestJournalRoundTrip(t *testing.T) {
	dir := t.TempDir()
	s := journaled(t, dir)
	defer closeStore(t, s)
	path := write(t, filepath.Join(dir, "Saal \xff <1>\n.mkv"), noise(1, 100))
	file := blockstore.File{Path: path, Stamp: stamp(t, path), Origin: blockstore.Copied, When: time.Unix(1700000001, 7).UTC()}
	video := blockstore.Video{
		Name: "n \xfe\"", MediaType: "video/x-matroska", Added: time.Unix(1700000000, 5).UTC(), State: "whole",
		Signer: "12D3", RelPath: "day 1/\u2028", Recording: "r",
	}
	im := s.Import()
	m := split(t, path, im.Block)
	if err := im.Commit(m, file, video); err != nil {
		t.Fatal(err)
	}
	file.Video, file.Stamp = m.CID(), blockstore.Stamp{Size: 100}
	video.CID, video.Size, video.Blocks = m.CID(), 100, 1
	n := 0
	for e, err := range blockstore.ReadJournal(filepath.Join(dir, "files.jsonl")) {
		if n++; err != nil || e.File != file || e.Video != video {
			t.Errorf("got %+v, %v\nwant %+v %+v", e, err, file, video)
		}
	}
	if n != 1 {
		t.Errorf("%d entries", n)
	}
}

// What is missing or damaged is told of, and the rest comes out.
func TestDamagedJournal(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "files.jsonl")
	s := journaled(t, dir)
	for i := range 4 {
		add(t, s, write(t, filepath.Join(dir, fmt.Sprint("f", i)), noise(byte(i), 100)))
	}
	closeStore(t, s)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	flipped := bytes.Clone(whole)
	flipped[bytes.Index(whole, []byte("/f1\""))+2] = '3' // still JSON
	huge := slices.Concat(lines[0], lines[1], bytes.Repeat([]byte("x"), 1<<20), []byte("\n"), lines[2])
	for name, c := range map[string]struct {
		content []byte
		want    []string
		damaged int
	}{
		"torn":         {whole[:len(whole)-20], []string{"f0 f0", "f1 f1", "f2 f2"}, 1},
		"no newline":   {whole[:len(whole)-1], []string{"f0 f0", "f1 f1", "f2 f2", "f3 f3"}, 0},
		"flipped":      {flipped, []string{"f0 f0", "f2 f2", "f3 f3"}, 1},
		"no head":      {bytes.Join(lines[1:], nil), []string{"f0 f0", "f1 f1", "f2 f2", "f3 f3"}, 0},
		"garbage":      {[]byte("{}\n\x00\x00\n[1]\n"), nil, 3},
		"zeros at end": {slices.Concat(whole, make([]byte, 4096)), []string{"f0 f0", "f1 f1", "f2 f2", "f3 f3"}, 1},
		"long line":    {huge, []string{"f0 f0", "f1 f1"}, 1},
		"empty":        {nil, nil, 0},
	} {
		got, damaged := journal(t, write(t, path, c.content))
		if !slices.Equal(got, c.want) || damaged != c.damaged {
			t.Errorf("%s: %q and %d damaged lines, want %q and %d", name, got, damaged, c.want, c.damaged)
		}
	}
	for _, err := range blockstore.ReadJournal(filepath.Join(dir, "none")) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("no journal: %v", err)
		}
	}
}

// After a torn line the journal goes on.
func TestJournalGoesOnAfterTornLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "files.jsonl")
	s := journaled(t, dir)
	add(t, s, write(t, filepath.Join(dir, "a"), noise(1, 100)))
	add(t, s, write(t, filepath.Join(dir, "b"), noise(2, 100)))
	closeStore(t, s)
	if err := os.Truncate(path, stamp(t, path).Size-7); err != nil {
		t.Fatal(err)
	}
	s = journaled(t, dir)
	defer closeStore(t, s)
	add(t, s, write(t, filepath.Join(dir, "c"), noise(3, 100)))
	if got, damaged := journal(t, path); !slices.Equal(got, []string{"a a", "c c"}) || damaged != 1 {
		t.Errorf("journal has %q and %d damaged lines", got, damaged)
	}
}

// A journal that is missing is written from the index; one that is there is not
// touched by an index that knows less.
func TestJournalAndIndexComeAndGo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "files.jsonl")
	s := journaled(t, dir)
	add(t, s, write(t, filepath.Join(dir, "a"), noise(1, 100)))
	if err := s.PutJob(blockstore.Job{ID: "x", Kind: "fetch"}); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	closeStore(t, journaled(t, dir))
	expectJournal(t, dir, "a a", "job x")

	moved, err := blockstore.SetAside(filepath.Join(dir, "index"), time.Unix(1700000000, 0))
	if err != nil || moved != filepath.Join(dir, "index.damaged-20231114-221320") {
		t.Errorf("moved to %s, %v", moved, err)
	}
	s = journaled(t, dir)
	defer closeStore(t, s)
	expectJournal(t, dir, "a a", "job x")
	add(t, s, filepath.Join(dir, "a"))
	expectJournal(t, dir, "job x", "a a")
	if err := s.ForgetFile(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	expectJournal(t, dir, "job x")
}

func TestJournalIsCompacted(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "files.jsonl")
	s := journaled(t, dir)
	add(t, s, write(t, filepath.Join(dir, "a"), noise(1, 100)))
	for i := range 100 {
		job := blockstore.Job{ID: "x", Kind: "fetch", Spec: bytes.Repeat([]byte{byte(i)}, 1000)}
		if err := s.PutJob(job); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutJob(blockstore.Job{ID: "last", Kind: "fetch"}); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	before := stamp(t, path).Size
	closeStore(t, journaled(t, dir))
	after := stamp(t, path).Size
	if before < 100_000 || after > 4000 {
		t.Errorf("journal of %d bytes has %d now", before, after)
	}
	expectJournal(t, dir, "a a", "job x", "job last")
	s = journaled(t, dir)
	if now := stamp(t, path).Size; now != after {
		t.Errorf("%d bytes, then %d", after, now)
	}
	if err := s.RemoveJob("last"); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	expectJournal(t, dir, "a a", "job x")
}

func TestJournalThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	_, err := blockstore.Open(filepath.Join(dir, "index"), blockstore.Config{Journal: dir})
	if err == nil || !strings.Contains(err.Error(), "journal") {
		t.Errorf("opened with a folder for a journal: %v", err)
	}
	s, err := blockstore.Open(filepath.Join(dir, "index"), blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
}
