package watch

import (
	"time"

	"golang.org/x/sys/unix"
)

// touch looks at the name in d and takes note of what is there.
func (t *tracker) touch(d *dir, name string, h hint) {
	if !t.names.wanted(name) {
		return
	}
	f := d.files[name]
	st, err := lstat(t.tree.pathOf(d, name))
	switch {
	case err != nil && !isAbsent(err):
		if f != nil { // it may still be there
			f.pass = d.pass
		}
	case err != nil || !counts(&st):
		if err != nil && h&hintRemoved == 0 {
			t.doubt()
		}
		if f != nil {
			t.miss(f, h != 0)
		}
	case f != nil:
		f.pass = d.pass
		t.update(f, identityOf(&st), h)
	default:
		t.meet(d, name, identityOf(&st), h)
	}
}

// counts tells whether a file is one that can be finished. One without bytes is
// not there yet.
func counts(st *unix.Stat_t) bool { return isRegular(st) && st.Size > 0 }

// meet takes up a file that was not there before.
func (t *tracker) meet(d *dir, name string, id Identity, h hint) {
	f := t.tree.insert(d, name, id)
	if f == nil {
		t.warnOnce(&t.limits.files, "too many files, some are passed over", "limit", maxFiles)
		return
	}
	f.pass, f.changed, f.active = d.pass, t.now(), t.cfg.Live
	path := t.tree.pathOf(d, name)
	if old := t.tree.missing[path]; old != nil {
		f.told = old.told
		t.forget(old)
	}
	if t.recognise(f) {
		return
	}
	t.adoptGrowth(f)
	f.closed = h&hintClosed != 0
	writer := writerUnknown
	if h == 0 && t.cfg.Live || h&hintMovedIn != 0 {
		writer = writerOf(path)
	}
	if h&hintMovedIn != 0 && writer == writerNone {
		f.closed = true
	}
	if h&hintWritten != 0 && !f.closed || writer == writerOpen {
		t.grows(f)
	}
	t.settle(f)
}

// recognise tells whether Known knows a file, here or where it is not any more.
// Then it need not settle. An error of Known comes again before it is told.
func (t *tracker) recognise(f *file) bool {
	path := t.path(f)
	was, ok, err := t.known.Seen(path, f.id)
	switch {
	case err != nil || !ok:
		return false
	case was == path:
		t.settled(f)
		return true
	case stillThere(was, f.id):
		return false
	}
	f.state, f.moved = ready, true
	t.ready.put(f)
	return true
}

// stillThere tells whether path names the file of that identity. If it does, a
// file of the same identity elsewhere is another link to it.
func stillThere(path string, id Identity) bool {
	st, err := lstat(path)
	return err == nil && identityOf(&st).inode() == id.inode()
}

// update takes note of what a file is now.
func (t *tracker) update(f *file, id Identity, h hint) {
	changed := id != f.id
	if !changed && f.state != settling {
		return
	}
	t.unqueue(f)
	if changed {
		other := id.inode() != f.id.inode()
		t.tree.identify(f, id)
		f.state, f.moved, f.closed, f.fails = settling, false, false, 0
		f.changed, f.active = t.now(), true
		if other && t.recognise(f) {
			return
		}
	}
	if h&hintClosed != 0 || h&hintMovedIn != 0 && writerOf(t.path(f)) == writerNone {
		f.closed, f.changed = true, t.now()
	}
	if changed && !f.closed {
		t.grows(f)
	}
	t.settle(f)
}

// settle plans the next look at a file that may still change.
func (t *tracker) settle(f *file) {
	at := f.changed + t.patience(f)
	if f.active {
		at = min(at, t.now()+t.cfg.Settle/4+slot)
	}
	if f.growth != nil {
		at = min(at, f.growth.lookAt(t.now()))
	}
	t.waitUntil(f, at)
}

// patience is how long f must be unchanged to be finished.
func (t *tracker) patience(f *file) time.Duration {
	if f.closed {
		return t.quiet()
	}
	return t.cfg.Settle
}

func (t *tracker) quiet() time.Duration { return min(t.cfg.Settle, quietTime) }

// lookAround looks at the files whose time has come.
func (t *tracker) lookAround() {
	for range burst {
		f := t.waiting.first()
		if f == nil || f.due > t.now() {
			return
		}
		t.waiting.take()
		t.lookAgain(f)
	}
}

// lookAgain decides what becomes of a file whose time has come.
func (t *tracker) lookAgain(f *file) {
	if f.state != settling { // to be told, after a pause
		t.ready.put(f)
		return
	}
	if !t.unchanged(f) {
		return
	}
	if t.now() < f.changed+t.patience(f) {
		t.tellGrowth(f)
		t.settle(f)
		return
	}
	if writerOf(t.path(f)) == writerOpen {
		f.closed = false
		t.wait(f, t.cfg.Settle)
		return
	}
	f.state = ready
	t.ready.put(f)
}

// unchanged tells whether a file is still what it was when it was looked at
// last. If not, what becomes of it is decided.
func (t *tracker) unchanged(f *file) bool {
	st, err := lstat(t.path(f))
	switch {
	case err != nil && !isAbsent(err):
		t.wait(f, t.cfg.Settle)
		return false
	case err != nil || !counts(&st):
		if err != nil {
			t.doubt()
		}
		t.miss(f, false)
		return false
	case identityOf(&st) != f.id:
		t.update(f, identityOf(&st), 0)
		return false
	}
	return true
}

// miss takes note that a file is not there any more. If heard, it is certain
// that it was not renamed without a hint about the new name.
func (t *tracker) miss(f *file, heard bool) {
	t.unqueue(f)
	if !f.reported() {
		t.tree.forget(f)
		return
	}
	t.tree.detach(f)
	f.state, f.moved, f.fails = missing, false, 0
	f.after = t.walk.number + 1
	if heard {
		f.after = 0
	}
	path := t.path(f)
	if old := t.tree.missing[path]; old != nil {
		t.forget(old)
	}
	t.tree.missing[path] = f
	t.wait(f, t.quiet())
}

func (t *tracker) path(f *file) string { return t.tree.pathOf(f.dir, f.name) }
