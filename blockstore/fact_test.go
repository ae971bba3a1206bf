package blockstore

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"
)

func factLine(t testing.TB, f fact) []byte {
	t.Helper()
	line, err := appendFact(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(line, []byte("\n"))
}

// A line is damaged, or reads back the same once written again.
func FuzzFact(f *testing.F) {
	c := videoCID(madeUpDigest(1))
	file := File{Path: "/a/\xff", Stamp: Stamp{Size: 5}, Origin: Added, When: time.Unix(1, 2)}
	f.Add(factLine(f, newFileFact(file, Video{CID: c, Name: "n\xfe", Recording: "r", Added: time.Unix(3, 4)})))
	f.Add(factLine(f, newJobFact(Job{ID: "j", Kind: "fetch", Video: c, Spec: []byte("{}")})))
	f.Add(factLine(f, forgottenFact("/a")))
	f.Add(factLine(f, endedFact("j")))
	f.Add(factLine(f, fact{Journal: &journalHead{Version: 1, Live: "5"}}))
	f.Add([]byte(`{"sum":"00000000"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		got, err := decodeFact(line)
		if err != nil && !errors.Is(err, errFact) {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		e, err := got.entry()
		if err != nil {
			return
		}
		again := newJobFact(e.Job)
		if got.File != nil {
			again = newFileFact(e.File, e.Video)
		}
		line = factLine(t, again)
		if about, ok := subjectOf(line); !ok || !about.claims || about.key != endOf(t, e) {
			t.Fatalf("%s: its end is about something else", line)
		}
		got, err = decodeFact(line)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := got.entry(); err != nil || !reflect.DeepEqual(same, e) {
			t.Fatalf("%+v became %+v, %v", e, same, err)
		}
	})
}

// endOf names what the fact that e has ended is about.
func endOf(t *testing.T, e JournalEntry) factKey {
	end := endedFact(e.Job.ID)
	if e.Job.ID == "" {
		end = forgottenFact(e.File.Path)
	}
	about, ok := subjectOf(factLine(t, end))
	if !ok || about.claims {
		t.Fatalf("end of %+v", e)
	}
	return about.key
}

func FuzzJournalLines(f *testing.F) {
	f.Add([]byte("a\nb\n\nc"), 0)
	f.Add([]byte("x"), maxFactBytes+1)
	f.Add([]byte("a\n"), maxFactBytes)
	f.Fuzz(func(t *testing.T, data []byte, long int) {
		data = slices.Concat(data, bytes.Repeat([]byte("y"), max(0, long)%(2*maxFactBytes)))
		n := 0
		for line, err := range journalLines(bytes.NewReader(data)) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; line.number != n {
				t.Fatalf("line %d has number %d", n, line.number)
			}
			if want := nthLine(data, n); len(want) <= maxFactBytes && !bytes.Equal(line.text, want) || len(want) > maxFactBytes && line.text != nil {
				t.Fatalf("line %d is %.50q, want %.50q", n, line.text, want)
			}
		}
		if want := bytes.Count(data, []byte("\n")) + 1; n != want && (len(data) > 0 && data[len(data)-1] != '\n' || n != want-1) {
			t.Fatalf("%d lines, want %d", n, want)
		}
	})
}

func nthLine(data []byte, n int) (line []byte) {
	for range n {
		line, data, _ = bytes.Cut(data, []byte("\n"))
	}
	return line
}

func TestNewerJournalIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "files.jsonl")
	line := append(factLine(t, fact{Journal: &journalHead{Version: journalVersion + 1, Live: "0"}}), '\n')
	if err := os.WriteFile(path, line, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the refusal leaves the index closed
		if _, err := Open(filepath.Join(dir, "index"), Config{Journal: path}); !errors.Is(err, ErrNewer) {
			t.Errorf("open: %v, want ErrNewer", err)
		}
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, line) {
		t.Errorf("journal is %q, %v", now, err)
	}
}

// While the journal cannot be written, nothing ends, since it would go on
// claiming it. What begins is written later.
func TestJournalThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(filepath.Join(dir, "index"), Config{Journal: filepath.Join(dir, "files.jsonl")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.PutJob(Job{ID: "old"}); err != nil {
		t.Fatal(err)
	}
	works := s.journal.file
	broken, err := os.Open(os.DevNull) // read only
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Close()
	s.journal.file = broken
	if err := s.RemoveJob("old"); err == nil {
		t.Error("removed")
	}
	if _, err := s.Job("old"); err != nil {
		t.Errorf("job that was not removed: %v", err)
	}
	if err := s.PutJob(Job{ID: "new"}); err != nil {
		t.Error(err)
	}
	s.journal.file = works
	if err := s.RemoveJob("old"); err != nil {
		t.Error(err)
	}
	if _, err := works.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	var left []string
	for e, err := range ReadJournal(s.journal.path) {
		if err != nil {
			t.Error(err)
		}
		left = append(left, e.Job.ID)
	}
	if len(left) != 1 || left[0] != "new" {
		t.Errorf("journal has %q", left)
	}
}
