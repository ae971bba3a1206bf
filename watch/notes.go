package watch

import (
	"context"
	"sync"
)

// maxNotes is how many names are kept between two times that the tracker takes
// them. Beyond it everything is looked at again.
const maxNotes = 8192

// hint is a set of what was heard about one name. It says where to look, and
// whether to hurry; never what is there.
type hint uint8

const (
	hintClosed  hint = 1 << iota // a writer closed it
	hintMovedIn                  // it got this name by renaming
	hintWritten                  // it was made or written to
	hintRemoved                  // it has not got this name any more
	hintFolder                   // it is a folder
	hintSelf                     // the watched folder itself was moved or removed
)

// place is a name in a watched folder; no name is the folder itself.
type place struct {
	watch int32
	name  string
}

// notifier is the system's way to tell what changes in folders.
type notifier interface {
	// watch begins to tell of the folder at path, and returns the number by which
	// it is told: the same one for the same folder, whatever its path. It
	// returns errWatchLimit if no more folders can be watched.
	watch(path string, follow bool) (int32, error)
	// unwatch stops telling of a folder.
	unwatch(number int32)
	// run tells until ctx is done, or until it cannot any more.
	run(ctx context.Context, to *notes)
}

// notes collects what was heard in bounded memory until it is taken.
type notes struct {
	// bell has a value when there is something to take.
	bell chan struct{}

	mu   sync.Mutex
	set  map[place]hint
	lost bool
}

func newNotes() *notes { return &notes{bell: make(chan struct{}, 1), set: map[place]hint{}} }

func (n *notes) add(p place, h hint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.set[p]; !ok && len(n.set) >= maxNotes {
		n.lose()
		return
	}
	n.set[p] |= h
	n.ring()
}

// overflow notes that something was not heard.
func (n *notes) overflow() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lose()
}

func (n *notes) lose() {
	n.set = map[place]hint{}
	n.lost = true
	n.ring()
}

func (n *notes) ring() {
	select {
	case n.bell <- struct{}{}:
	default:
	}
}

// take returns what was heard since the last time, and whether more was lost.
func (n *notes) take() (set map[place]hint, lost bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	set, lost = n.set, n.lost
	n.set, n.lost = map[place]hint{}, false
	return set, lost
}
