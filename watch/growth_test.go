package watch_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/watch"
)

// Growing is told at most once a second with what was there before, and ends
// with Finished.
func TestGrowing(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		var n watch.FakeNotices
		n.Limit = 10
		var told []time.Time
		s := begin(t, watch.Config{Dir: dir, Live: true}, newLedger(), func(s *session, f *watch.Folder) {
			f.Hear(&n)
			s.handle = func(_ context.Context, e watch.Event) error {
				if e.Kind == watch.Growing {
					told = append(told, time.Now())
				}
				return nil
			}
		})
		time.Sleep(time.Second)
		for range 300 {
			grow(t, filepath.Join(dir, "a.mts"), 1000)
			n.Written(dir, "a.mts")
			time.Sleep(33 * time.Millisecond)
		}
		n.Closed(dir, "a.mts")
		time.Sleep(time.Minute)
		s.stop()
		if len(told) < 9 || len(told) > 11 {
			t.Fatalf("told %d times in 10 s", len(told))
		}
		stable := int64(0)
		for i, e := range s.events[:len(told)] {
			if i > 0 && told[i].Sub(told[i-1]) < time.Second {
				t.Errorf("told again after %v", told[i].Sub(told[i-1]))
			}
			if e.Stable != stable || e.Identity.Size <= stable {
				t.Errorf("event %d: %d bytes of %d are stable, want %d", i, e.Stable, e.Identity.Size, stable)
			}
			stable = e.Identity.Size
		}
		equalLines(t, s.lines()[len(told):], "finished a.mts 300000")
	})
}

// Without notices a growing file is found by looking.
func TestGrowingWithoutNotices(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		grow(t, filepath.Join(dir, "a.mts"), 10)
		s := begin(t, watch.Config{Dir: dir, Live: true}, newLedger(), passOnly)
		for range 119 {
			time.Sleep(time.Second)
			grow(t, filepath.Join(dir, "a.mts"), 10)
		}
		time.Sleep(time.Minute)
		lines := s.lines()
		if len(lines) < 60 || !strings.HasPrefix(lines[0], "growing a.mts") || lines[len(lines)-1] != "finished a.mts 1200" {
			t.Errorf("%d events: %q ... %q", len(lines), lines[0], lines[len(lines)-1])
		}
	})
}

// A recording that is renamed while it goes on stays the same one.
func TestGrowingIsMoved(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		one, two := filepath.Join(dir, "rec.mts"), filepath.Join(dir, "done.mts")
		var n watch.FakeNotices
		n.Limit = 10
		s := begin(t, watch.Config{Dir: dir, Live: true, Rescan: 5 * time.Second}, newLedger(), func(_ *session, f *watch.Folder) { f.Hear(&n) })
		time.Sleep(time.Second)
		grow(t, one, 10)
		n.Written(dir, "rec.mts")
		time.Sleep(500 * time.Millisecond)
		equalLines(t, s.lines(), "growing rec.mts 10")
		rename(t, one, two)
		grow(t, two, 10)
		n.Written(dir, "rec.mts")
		n.Written(dir, "done.mts")
		time.Sleep(2 * time.Second)
		equalLines(t, s.lines(), "moved done.mts 20 from rec.mts")
		grow(t, two, 10)
		n.Written(dir, "done.mts")
		time.Sleep(2 * time.Second)
		if e := s.lastEvent(); e.Stable != 20 {
			t.Errorf("stable %d, want 20", e.Stable)
		}
		equalLines(t, s.lines(), "growing done.mts 30")
		rename(t, two, one) // and finished there
		time.Sleep(time.Minute)
		equalLines(t, s.lines(), "finished rec.mts 30 from done.mts")
	})
}

func TestGrowingIsGone(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "a.mts")
		var n watch.FakeNotices
		n.Limit = 10
		s := begin(t, watch.Config{Dir: dir, Live: true}, newLedger(), func(_ *session, f *watch.Folder) { f.Hear(&n) })
		time.Sleep(time.Second)
		grow(t, path, 10)
		n.Written(dir, "a.mts")
		time.Sleep(time.Second)
		equalLines(t, s.lines(), "growing a.mts 10")
		remove(t, path)
		time.Sleep(5 * time.Minute)
		equalLines(t, s.lines(), "gone a.mts")
	})
}

// Files that grow are told although others wait, and the other way round.
func TestGrowingAndFinishedTakeTurns(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		for _, name := range []string{"a.mp4", "b.mp4", "c.mp4", "d.mp4"} {
			write(t, filepath.Join(dir, name), 5)
			if err := os.Chtimes(filepath.Join(dir, name), time.Unix(1, 0), time.Unix(int64(name[0]), 0)); err != nil {
				t.Fatal(err)
			}
		}
		s := begin(t, watch.Config{Dir: dir, Live: true}, newLedger(), passOnly, func(s *session, _ *watch.Folder) {
			s.handle = func(context.Context, watch.Event) error {
				time.Sleep(30 * time.Second)
				return nil
			}
		})
		for range 400 {
			grow(t, filepath.Join(dir, "x.mts"), 1)
			grow(t, filepath.Join(dir, "y.mts"), 1)
			time.Sleep(500 * time.Millisecond)
		}
		var turns string
		for _, l := range s.lines() {
			turns += l[:1]
		}
		if !strings.Contains(turns, "fgfgf") {
			t.Errorf("order of growing and finished: %s", turns)
		}
	})
}
