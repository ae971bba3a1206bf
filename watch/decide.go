package watch

import (
	"fmt"
	"strings"
)

// decide looks at a file that is ready once more and says what to tell of it.
func (t *tracker) decide(f *file) (Event, bool) {
	if f.state == missing {
		return t.decideGone(f)
	}
	if !t.unchanged(f) {
		return Event{}, false
	}
	path := t.path(f)
	was, ok, err := t.known.Seen(path, f.id)
	switch {
	case err != nil:
		t.failed(f, fmt.Errorf("whether it is known: %w", err))
		return Event{}, false
	case ok && was == path:
		t.settled(f)
		return Event{}, false
	case ok && !stillThere(was, f.id) && f.told && t.walk.active():
		t.wait(f, slot) // what was known at path may have another name, which is better told before
		return Event{}, false
	case ok && !stillThere(was, f.id):
		f.state = telling
		e := t.eventOf(f, Moved)
		e.From = was
		return e, true
	}
	f.state, f.moved = telling, false
	e := t.eventOf(f, Finished)
	e.From = t.grewAt(f)
	return e, true
}

// decideGone makes sure that it is the file that is gone, and not the folder,
// and that it has not got another name.
func (t *tracker) decideGone(f *file) (Event, bool) {
	switch {
	case f.after > t.walk.ended && !t.walk.active():
		t.waitUntil(f, max(t.now(), t.walk.again)+t.quiet())
		return Event{}, false
	case t.walk.active():
		t.wait(f, t.quiet())
		return Event{}, false
	}
	e := t.eventOf(f, Gone)
	if from := t.grewAt(f); from != "" {
		e.Path, e.RelPath = from, strings.TrimPrefix(from, t.tree.prefix)
	}
	st, err := lstat(e.Path)
	switch {
	case err != nil && !isAbsent(err):
		t.wait(f, t.cfg.Settle)
		return Event{}, false
	case !t.tree.mounted(f.dir):
		t.forget(f)
		return Event{}, false
	case err == nil && counts(&st):
		t.isBack(f)
		return Event{}, false
	}
	t.checkPresence()
	return e, f.state == missing
}

// isBack has what is there again instead of f met anew, which ends f.
func (t *tracker) isBack(f *file) {
	t.waitUntil(f, max(t.now(), t.walk.again)+t.quiet())
	if !f.dir.gone {
		t.touch(f.dir, f.name, 0)
	}
}

func (t *tracker) eventOf(f *file, kind Kind) Event {
	e := Event{Kind: kind, Path: t.path(f), RelPath: f.rel(), Identity: f.id}
	switch {
	case kind == Finished && f.closed:
		e.Reason = "closed after writing"
	case kind == Finished:
		e.Reason = fmt.Sprintf("unchanged for %s", t.cfg.Settle)
	case kind == Growing:
		e.Reason = "being written"
	case kind == Moved:
		e.Reason = "renamed"
	case kind == Gone:
		e.Reason = "not there any more"
	}
	return e
}
