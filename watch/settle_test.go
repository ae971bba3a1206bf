package watch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/watch"
)

// bubble runs a test with a clock of its own: nothing in it waits for the
// system, and time passes only when nobody has anything to do.
func bubble(t *testing.T, test func(t *testing.T, dir string)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { test(t, dir) })
}

func grow(t *testing.T, path string, size int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestUnchangedForSettleIsFinished(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		write(t, filepath.Join(dir, "a.mp4"), 10)
		s := begin(t, watch.Config{Dir: dir}, newLedger(), passOnly)
		time.Sleep(9900 * time.Millisecond)
		equalLines(t, s.lines())
		time.Sleep(300 * time.Millisecond)
		if e := s.lastEvent(); e.Reason != "unchanged for 10s" || e.Path != filepath.Join(dir, "a.mp4") {
			t.Errorf("got %+v", e)
		}
		equalLines(t, s.lines(), "finished a.mp4 10")
		time.Sleep(time.Hour)
		equalLines(t, s.lines())
	})
}

// A file that grows all the time is not finished before it stops, and then as a
// whole, wherever the looks fall.
func TestGrowingIsNotFinished(t *testing.T) {
	for _, pause := range []time.Duration{700 * time.Millisecond, 3 * time.Second, 9500 * time.Millisecond} {
		t.Run(pause.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, dir string) {
				s := begin(t, watch.Config{Dir: dir}, newLedger(), passOnly)
				for range 100 {
					grow(t, filepath.Join(dir, "a.mp4"), 10)
					time.Sleep(pause)
				}
				equalLines(t, s.lines())
				time.Sleep(72 * time.Second) // a look at everything, then settling
				equalLines(t, s.lines(), "finished a.mp4 1000")
			})
		})
	}
}

// Cameras have wrong clocks: what a file says of its age is nothing.
func TestModificationTimesDoNotMatter(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		for name, when := range map[string]time.Time{
			"old.mp4": time.Unix(0, 0), "new.mp4": time.Now().AddDate(50, 0, 0), "older.mp4": time.Unix(-1e9, 0),
		} {
			path := filepath.Join(dir, name)
			write(t, path, 5)
			if err := os.Chtimes(path, when, when); err != nil {
				t.Fatal(err)
			}
		}
		s := begin(t, watch.Config{Dir: dir}, newLedger(), passOnly)
		time.Sleep(9900 * time.Millisecond)
		equalLines(t, s.lines())
		time.Sleep(time.Second)
		equalLines(t, s.lines(), "finished older.mp4 5", "finished old.mp4 5", "finished new.mp4 5")
	})
}

func TestChangedAgainIsFinishedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "a.mp4")
		write(t, path, 10)
		s := begin(t, watch.Config{Dir: dir}, newLedger(), passOnly)
		time.Sleep(time.Minute)
		equalLines(t, s.lines(), "finished a.mp4 10")
		write(t, path, 20) // the same inode
		time.Sleep(2 * time.Minute)
		equalLines(t, s.lines(), "finished a.mp4 20")
		write(t, path+".tmp", 30)
		rename(t, path+".tmp", path) // another one
		time.Sleep(2 * time.Minute)
		equalLines(t, s.lines(), "finished a.mp4 30")
		before := s.ledger.snapshot()[path]
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("x"), 3); err != nil { // in place
			t.Fatal(err)
		}
		if err := errors.Join(f.Close(), os.Chtimes(path, time.Time{}, time.Unix(0, before.ModTime))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		equalLines(t, s.lines(), "finished a.mp4 30") // the change time shows it
	})
}

// A file that changes while handle is busy with it is told again.
func TestChangedWhileItIsHandled(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "a.mp4")
		write(t, path, 10)
		s := begin(t, watch.Config{Dir: dir}, newLedger(), passOnly, func(s *session, _ *watch.Folder) {
			s.handle = func(ctx context.Context, e watch.Event) error {
				if e.Identity.Size == 10 {
					time.Sleep(time.Minute)
					grow(t, path, 1)
					time.Sleep(time.Hour)
				}
				return nil
			}
		})
		time.Sleep(30 * time.Minute)
		equalLines(t, s.lines(), "finished a.mp4 10")
		time.Sleep(32 * time.Minute)
		equalLines(t, s.lines(), "finished a.mp4 11")
	})
}

// A notice that a writer closed the file makes it finished within the quiet
// time and 300 ms; one that opens it again in time is waited for.
func TestClosedIsFinishedSoon(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		var n watch.FakeNotices
		n.Limit = 10
		s := begin(t, watch.Config{Dir: dir}, newLedger(), func(_ *session, f *watch.Folder) { f.Hear(&n) })
		time.Sleep(time.Second)
		path := filepath.Join(dir, "a.mp4")
		for i := range 5 { // segments: written, closed, opened again
			grow(t, path, 10)
			n.Closed(dir, "a.mp4")
			time.Sleep(900 * time.Millisecond)
			if got := s.lines(); len(got) > 0 {
				t.Fatalf("after %d segments: %q", i+1, got)
			}
		}
		time.Sleep(400 * time.Millisecond)
		if e := s.lastEvent(); e.Reason != "closed after writing" {
			t.Errorf("got %+v", e)
		}
		equalLines(t, s.lines(), "finished a.mp4 50")
		n.Closed(dir, "a.mp4") // by somebody who wrote nothing
		time.Sleep(time.Hour)
		equalLines(t, s.lines())
	})
}

func TestWhatDoesNotCount(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		outside := filepath.Join(filepath.Dir(dir), "outside")
		for _, d := range []string{outside, filepath.Join(dir, ".hidden"), filepath.Join(dir, "fold.mp4")} {
			mkdir(t, d)
		}
		for _, name := range []string{
			"a.mp4.part", ".a.mp4", "a.mp4~", "a.txt", ".hidden/a.mp4", "../outside/o.mp4",
		} {
			write(t, filepath.Join(dir, name), 5)
		}
		write(t, filepath.Join(dir, "empty.mp4"), 0)
		err := errors.Join(
			os.Symlink(outside, filepath.Join(dir, "link")),
			os.Symlink(filepath.Join(outside, "o.mp4"), filepath.Join(dir, "link.mp4")),
			unix.Mkfifo(filepath.Join(dir, "fifo.mp4"), 0o644),
		)
		if err != nil {
			t.Fatal(err)
		}
		s := begin(t, watch.Config{Dir: dir}, newLedger(), passOnly)
		time.Sleep(time.Hour)
		equalLines(t, s.lines())
		write(t, filepath.Join(dir, "empty.mp4"), 1)
		rename(t, filepath.Join(dir, "a.mp4.part"), filepath.Join(dir, "a.mp4"))
		time.Sleep(2 * time.Minute)
		equalLines(t, s.lines(), "finished a.mp4 5", "finished empty.mp4 1")
	})
}

// Many files that are ready are told from the oldest to the newest, also
// those that come while handle is busy.
func TestOldestFirst(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		var want []string
		for i := range 300 {
			name := fmt.Sprintf("%03d.mp4", i*7%300)
			path := filepath.Join(dir, name)
			write(t, path, 5)
			when := time.Unix(int64(1000+i), 0)
			if err := os.Chtimes(path, when, when); err != nil {
				t.Fatal(err)
			}
			want = append(want, "finished "+name+" 5")
		}
		s := begin(t, watch.Config{Dir: dir}, newLedger(), passOnly, func(s *session, _ *watch.Folder) {
			s.handle = func(context.Context, watch.Event) error {
				time.Sleep(time.Minute)
				return nil
			}
		})
		time.Sleep(30 * time.Minute)
		late := filepath.Join(dir, "late.mp4")
		write(t, late, 6)
		if err := os.Chtimes(late, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Minute)
		var others []string
		for i, l := range s.lines() {
			if l != "finished late.mp4 6" {
				others = append(others, l)
			} else if i > 35 {
				t.Errorf("the oldest file was told as number %d", i+1)
			}
		}
		equalLines(t, others, want...)
	})
}
