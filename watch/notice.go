package watch

import "errors"

// notice asks for notices of a folder. Asking again heals a folder that was
// replaced by another one.
func (t *tracker) notice(d *dir, path string) {
	if t.notifier == nil || t.limits.noWatch && d.watch < 0 {
		return
	}
	number, err := t.notifier.watch(path, d.parent == nil)
	if errors.Is(err, errWatchLimit) {
		t.limits.noWatch = true
		t.warnOnce(&t.limits.watches, "changes in some folders are noticed only by looking again", "pause", t.cfg.Rescan, "reason", err)
	}
	if err != nil || number == d.watch {
		return // what is wrong with the folder shows when it is opened
	}
	t.unnotice(d)
	if other := t.tree.watches[number]; other != nil { // it was renamed to d
		other.watch = -1
	}
	d.watch = number
	t.tree.watches[number] = d
}

func (t *tracker) unnotice(d *dir) {
	if d.watch < 0 {
		return
	}
	delete(t.tree.watches, d.watch)
	t.notifier.unwatch(d.watch)
	d.watch = -1
}

// follow looks where something was heard.
func (t *tracker) follow(heard map[place]hint, lost bool) {
	if !t.presence.there {
		return
	}
	if lost {
		t.lookAtAll()
	}
	for p, h := range heard {
		d := t.tree.watches[p.watch]
		switch {
		case d == nil: // it is not in the tree any more
		case h&hintSelf != 0 && d.parent == nil:
			t.presence.check = 0
			t.lookAtAll()
		case h&hintSelf != 0:
			t.followFolder(d.parent, d.name)
		case h&hintFolder != 0:
			t.followFolder(d, p.name)
		default:
			t.touch(d, p.name, h)
		}
	}
}

// followFolder looks whether name in d is a folder.
func (t *tracker) followFolder(d *dir, name string) {
	st, err := lstat(t.tree.pathOf(d, name))
	if err == nil && isFolder(&st) {
		t.enter(d, name)
		return
	}
	if sub := d.dirs[name]; sub != nil && (err == nil || isAbsent(err)) {
		t.drop(sub, true)
	}
	t.touch(d, name, hintRemoved)
}
