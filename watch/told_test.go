package watch_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/vidsync/vidsync/watch"
)

var errFull = errors.New("index is full")

// What handle refuses is tried again after growing pauses, and logged once.
func TestRetry(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		write(t, filepath.Join(dir, "a.mp4"), 10)
		start := time.Now()
		var at []time.Duration
		s := begin(t, watch.Config{Dir: dir, Rescan: time.Hour}, newLedger(), passOnly, func(s *session, _ *watch.Folder) {
			s.handle = func(context.Context, watch.Event) error {
				at = append(at, time.Since(start).Round(time.Second))
				if len(at) < 12 {
					return errFull
				}
				return nil
			}
		})
		time.Sleep(24 * time.Hour)
		s.stop()
		if len(at) != 12 {
			t.Fatalf("told %d times: %v", len(at), at)
		}
		pauses := []time.Duration{5, 10, 20, 40, 80, 160, 320, 600, 600, 600, 600}
		for i, want := range pauses {
			if got := at[i+1] - at[i]; got < want*time.Second || got > want*time.Second+time.Second {
				t.Errorf("pause %d is %v, want %v", i+1, got, want*time.Second)
			}
		}
		if n := s.log.count(errFull.Error()); n != 1 || s.log.count("a.mp4") != 1 {
			t.Errorf("the error was logged %d times", n)
		}
	})
}

// A file that waits for another attempt is told as it is then.
func TestRetryOfChangedFile(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "a.mp4")
		write(t, path, 10)
		s := begin(t, watch.Config{Dir: dir}, newLedger(), passOnly, func(s *session, _ *watch.Folder) {
			s.handle = func(_ context.Context, e watch.Event) error {
				if e.Identity.Size == 10 {
					return errFull
				}
				return nil
			}
		})
		time.Sleep(12 * time.Second)
		equalLines(t, s.lines(), "finished a.mp4 10")
		grow(t, path, 1)
		time.Sleep(time.Hour)
		equalLines(t, s.lines(), "finished a.mp4 11")
	})
}

// What was never taken and is removed is nobody's business.
func TestRetryOfRemovedFile(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "a.mp4")
		write(t, path, 10)
		s := begin(t, watch.Config{Dir: dir}, newLedger(), passOnly, func(s *session, _ *watch.Folder) {
			s.handle = func(context.Context, watch.Event) error { return errFull }
		})
		time.Sleep(12 * time.Second)
		equalLines(t, s.lines(), "finished a.mp4 10")
		remove(t, path)
		time.Sleep(time.Hour)
		equalLines(t, s.lines())
	})
}

// Files wait while Known cannot answer.
func TestKnownFails(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		write(t, filepath.Join(dir, "a.mp4"), 10)
		l := newLedger()
		l.setFail(errFull)
		s := begin(t, watch.Config{Dir: dir}, l, passOnly)
		time.Sleep(time.Hour)
		equalLines(t, s.lines())
		if n := s.log.count(errFull.Error()); n != 1 {
			t.Errorf("the error was logged %d times", n)
		}
		l.setFail(nil)
		time.Sleep(11 * time.Minute)
		equalLines(t, s.lines(), "finished a.mp4 10")
	})
}

// Run ends while handle is busy, once it has returned.
func TestRunEndsWithHandle(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		write(t, filepath.Join(dir, "a.mp4"), 10)
		returned := false
		s := begin(t, watch.Config{Dir: dir}, newLedger(), passOnly, func(s *session, _ *watch.Folder) {
			s.handle = func(ctx context.Context, _ watch.Event) error {
				<-ctx.Done()
				time.Sleep(time.Minute)
				returned = true
				return ctx.Err()
			}
		})
		time.Sleep(time.Minute)
		s.stop()
		if !returned {
			t.Error("Run ended before handle")
		}
	})
}
