package watch

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// walk is a look at folders and all that is below them, in steps, with one
// folder open at a time.
type walk struct {
	todo   []*dir
	dir    *dir     // being read
	open   *os.File // dir
	whole  bool     // everything is looked at
	stale  bool     // something was lost since that began: do it again
	number uint32   // of looks at everything begun
	ended  uint32   // the last that was completed
	again  time.Duration
}

func (w *walk) active() bool { return w.dir != nil || len(w.todo) > 0 }

// add asks for a look at d and all that is below.
func (w *walk) add(d *dir) {
	if !d.queued {
		d.queued = true
		w.todo = append(w.todo, d)
	}
}

// abort ends what is under way.
func (w *walk) abort() {
	w.close()
	for _, d := range w.todo {
		d.queued = false
	}
	w.todo, w.whole, w.stale = nil, false, false
}

func (w *walk) close() {
	if w.open != nil {
		_ = w.open.Close() // it was only read
	}
	w.dir, w.open = nil, nil
}

// lookAtAll begins a look at everything, now or after the one under way.
func (t *tracker) lookAtAll() {
	w := &t.walk
	if w.whole {
		w.stale = true
		return
	}
	w.whole = true
	w.number++
	t.limits.noWatch = false
	w.add(t.tree.root)
}

// walkOn takes one step.
func (t *tracker) walkOn() {
	w := &t.walk
	if !w.active() && t.now() >= w.again {
		t.lookAtAll()
	}
	if w.dir == nil && len(w.todo) > 0 {
		last := len(w.todo) - 1
		d := w.todo[last]
		w.todo[last] = nil
		w.todo = w.todo[:last]
		d.queued = false
		if !d.gone {
			t.openFolder(d)
		}
	}
	switch {
	case w.dir != nil && w.dir.gone:
		w.close()
	case w.dir != nil:
		t.readFolder()
	}
	if w.whole && !w.active() {
		t.endWalk()
	}
}

func (t *tracker) endWalk() {
	w := &t.walk
	w.whole, w.ended, w.again = false, w.number, t.now()+t.cfg.Rescan
	t.looked.Store(true)
	if w.stale {
		w.stale = false
		t.lookAtAll()
	}
}

// openFolder begins to read d. Its notices are asked for first, so that nothing
// can appear between the two.
func (t *tracker) openFolder(d *dir) {
	path := t.tree.path(d)
	t.notice(d, path)
	flags := os.O_RDONLY | syscall.O_DIRECTORY | syscall.O_NONBLOCK
	if d.parent != nil {
		flags |= syscall.O_NOFOLLOW
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		t.unreadable(d, err)
		return
	}
	device, err := deviceOf(f)
	if err != nil {
		_ = f.Close()
		t.unreadable(d, err)
		return
	}
	if d.device != 0 && d.device != device && d.parent == nil {
		_ = f.Close()
		t.presence.check = t.now()
		return
	}
	if d.device != 0 && d.device != device {
		t.dropBelow(d, t.forget) // another file system is there now; the old one may come back
	}
	d.device = device
	d.pass++
	t.walk.dir, t.walk.open = d, f
}

// unreadable takes note that a folder could not be read. What is in it stays as
// it was, unless the folder is not there.
func (t *tracker) unreadable(d *dir, err error) {
	switch {
	case d.parent == nil && !isShortage(err):
		t.leave(err.Error())
	case isAbsent(err) || errors.Is(err, syscall.ELOOP):
		t.doubt()
		t.drop(d, false)
	case !d.warned:
		d.warned = true
		t.log.Warn("folder cannot be read", "folder", t.tree.path(d), "err", err)
	}
}

// readFolder reads some names of the folder that is open.
func (t *tracker) readFolder() {
	d := t.walk.dir
	entries, err := t.walk.open.ReadDir(burst)
	for _, e := range entries {
		t.meetEntry(d, e)
	}
	if err == nil {
		return
	}
	t.walk.close()
	if !errors.Is(err, io.EOF) {
		t.unreadable(d, err)
		return
	}
	d.warned = false
	t.missUnseen(d)
}

func (t *tracker) meetEntry(d *dir, e fs.DirEntry) {
	switch {
	case e.IsDir():
		t.enter(d, e.Name())
	case e.Type().IsRegular():
		t.touch(d, e.Name(), 0)
	}
}

// enter asks for a look at the folder name in d.
func (t *tracker) enter(d *dir, name string) {
	if isHidden(name) {
		return
	}
	sub := t.tree.child(d, name)
	if sub == nil {
		t.warnOnce(&t.limits.folders, "too many folders, some are passed over", "limit", maxFolders)
		return
	}
	sub.listed = d.pass
	t.walk.add(sub)
}
