package watch

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

// PassOnly makes f learn of changes only by looking again.
func (f *Folder) PassOnly() {
	f.listen = func(Config) (notifier, error) { return nil, errors.New("switched off") }
}

// FakeNotices stands in for the system's notices.
type FakeNotices struct {
	// Limit is how many folders can be watched.
	Limit int

	mu      sync.Mutex
	to      *notes
	numbers map[string]int32
	asked   int
}

// Hear makes f learn of changes from n.
func (f *Folder) Hear(n *FakeNotices) {
	n.numbers = map[string]int32{}
	f.listen = func(Config) (notifier, error) { return n, nil }
}

func (n *FakeNotices) watch(path string, _ bool) (int32, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	if number, ok := n.numbers[path]; ok {
		return number, nil
	}
	if len(n.numbers) >= n.Limit {
		return -1, errWatchLimit
	}
	n.numbers[path] = int32(len(n.numbers))
	return n.numbers[path], nil
}

// Asked is how many times a folder was to be watched.
func (n *FakeNotices) Asked() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

func (n *FakeNotices) unwatch(int32) {}

func (n *FakeNotices) run(ctx context.Context, to *notes) {
	n.mu.Lock()
	n.to = to
	n.mu.Unlock()
	<-ctx.Done()
}

func (n *FakeNotices) send(folder, name string, h hint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.to.add(place{n.numbers[folder], name}, h)
}

// Closed tells that a writer closed the file name in folder.
func (n *FakeNotices) Closed(folder, name string) { n.send(folder, name, hintClosed) }

// Written tells that the file name in folder was written to.
func (n *FakeNotices) Written(folder, name string) { n.send(folder, name, hintWritten) }

// Overflow tells that something was lost.
func (n *FakeNotices) Overflow() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.to.overflow()
}

// Note notes so many names so many times each, and returns how many are kept
// and whether some were lost.
func Note(names, times int) (kept int, lost bool) {
	n := newNotes()
	for range times {
		for i := range names {
			n.add(place{int32(i), "a.mp4"}, hintWritten)
		}
	}
	set, lost := n.take()
	return len(set), lost
}

// MaxNotes is how many names are kept until they are taken.
const MaxNotes = maxNotes

// Wanted tells whether a file of that name counts.
func Wanted(glob []string, name string) bool { return newNames(glob).wanted(name) }

// KeptBytes takes in everything below f's folder, as Run does, and returns what
// is kept in memory of how many files.
func KeptBytes(f *Folder) (kept uint64, files int) {
	before := heapInUse()
	t := newTracker(f)
	t.checkPresence()
	for t.lookAtAll(); t.walk.active(); {
		t.walkOn()
	}
	kept = heapInUse() - before
	files = t.tree.files
	runtime.KeepAlive(t)
	return kept, files
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
