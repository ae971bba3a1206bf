package watch_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vidsync/vidsync/watch"
)

func sameLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	equalLines(t, got, want...)
}

// atWork is what handle is busy with.
type atWork struct {
	t *testing.T

	mu    sync.Mutex
	paths map[string]bool
	alone int // how many of them are to be alone
	most  int
}

func (w *atWork) handle(_ context.Context, e watch.Event) error {
	w.begin(e, 1)
	time.Sleep(10 * time.Second)
	w.begin(e, -1)
	return nil
}

func (w *atWork) begin(e watch.Event, step int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if step > 0 && w.paths[e.Path] {
		w.t.Errorf("%s is told twice at once", e.Path)
	}
	w.paths[e.Path] = step > 0
	if !w.paths[e.Path] {
		delete(w.paths, e.Path)
	}
	if e.Kind != watch.Finished || e.Identity.Size >= 100 {
		w.alone += step
	}
	w.most = max(w.most, len(w.paths))
	if w.alone > 0 && len(w.paths) > 1 {
		w.t.Errorf("%s %s is told beside others", e.Kind, e.Path)
	}
}

// Short files that are finished are told together, everything else alone.
func TestShortFilesTogether(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		var want []string
		for i := range 20 {
			name := fmt.Sprintf("%02d.mp4", i)
			size := 10 + 100*(i%5/4)
			write(t, filepath.Join(dir, name), size)
			want = append(want, fmt.Sprintf("finished %s %d", name, size))
		}
		work := &atWork{t: t, paths: map[string]bool{}}
		s := begin(t, watch.Config{Dir: dir, Together: 4, Short: 100, Rescan: time.Minute}, newLedger(), passOnly,
			func(s *session, _ *watch.Folder) { s.handle = work.handle })
		time.Sleep(time.Hour)
		sameLines(t, s.lines(), want...)
		work.mu.Lock()
		if work.most != 4 {
			t.Errorf("%d files were told at once, want 4", work.most)
		}
		work.mu.Unlock()
		for i := range 4 { // what is renamed and what is gone goes alone, beside what is new
			rename(t, filepath.Join(dir, fmt.Sprintf("%02d.mp4", i)), filepath.Join(dir, fmt.Sprintf("r%02d.mp4", i)))
			remove(t, filepath.Join(dir, fmt.Sprintf("%02d.mp4", 10+i)))
			write(t, filepath.Join(dir, fmt.Sprintf("n%02d.mp4", i)), 20)
		}
		time.Sleep(time.Hour)
		if got := len(s.lines()); got != 12 {
			t.Errorf("%d events, want 12", got)
		}
	})
}

// A file that is written again, or renamed, while it is told is told again when
// that is over.
func TestShortFileChangesWhileTold(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		for _, name := range []string{"a.mp4", "b.mp4", "c.mp4"} {
			write(t, filepath.Join(dir, name), 10)
		}
		work := &atWork{t: t, paths: map[string]bool{}}
		s := begin(t, watch.Config{Dir: dir, Together: 4, Short: 100, Rescan: time.Second, Settle: time.Second}, newLedger(), passOnly,
			func(s *session, _ *watch.Folder) { s.handle = work.handle })
		time.Sleep(5 * time.Second) // all three are being told
		grow(t, filepath.Join(dir, "a.mp4"), 1)
		rename(t, filepath.Join(dir, "b.mp4"), filepath.Join(dir, "d.mp4"))
		time.Sleep(time.Hour)
		sameLines(t, s.lines(), "finished a.mp4 10", "finished a.mp4 11", "finished b.mp4 10", "finished c.mp4 10", "finished d.mp4 10", "gone b.mp4")
	})
}
