package watch_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vidsync/vidsync/watch"
)

// ledger is a memory of files as the interface Known describes it.
type ledger struct {
	mu    sync.Mutex
	files map[string]watch.Identity
	asked int
	fail  error
}

func newLedger() *ledger { return &ledger{files: map[string]watch.Identity{}} }

func (l *ledger) Seen(path string, id watch.Identity) (string, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if l.fail != nil {
		return "", false, l.fail
	}
	if l.files[path] == id {
		return path, true, nil
	}
	for other, was := range l.files {
		if other != path && was.SameFile(id) {
			return other, true, nil
		}
	}
	return "", false, nil
}

// note does what a caller does with an event.
func (l *ledger) note(e watch.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.files, e.From)
	switch e.Kind {
	case watch.Finished, watch.Moved:
		l.files[e.Path] = e.Identity
	case watch.Gone:
		delete(l.files, e.Path)
	}
}

func (l *ledger) setFail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

func (l *ledger) snapshot() map[string]watch.Identity {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.files)
}

// line is an event in short: kind, path below the folder, size, and from where.
func line(dir string, e watch.Event) string {
	s := fmt.Sprintf("%s %s", e.Kind, e.RelPath)
	if e.Kind == watch.Finished || e.Kind == watch.Growing || e.Kind == watch.Moved {
		s += fmt.Sprintf(" %d", e.Identity.Size)
	}
	if e.From != "" {
		s += " from " + strings.TrimPrefix(e.From, dir+"/")
	}
	return s
}

func equalLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got events\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func write(t *testing.T, path string, size int) {
	t.Helper()
	if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}
