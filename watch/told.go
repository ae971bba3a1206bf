package watch

import (
	"slices"
	"time"
)

const (
	firstRetry = 5 * time.Second
	lastRetry  = 10 * time.Minute
)

// retryPause is how long to wait after so many failures in a row.
func retryPause(fails uint8) time.Duration {
	const doublings = 7 // 5 s, 10 s, ... 320 s, then lastRetry
	if fails > doublings {
		return lastRetry
	}
	return firstRetry << (max(fails, 1) - 1)
}

// told takes note of what handle returned.
func (t *tracker) told(j *job, err error) {
	t.jobs = slices.DeleteFunc(t.jobs, func(other *job) bool { return other == j })
	t.alone = t.alone && len(t.jobs) > 0
	f := j.file
	if err == nil && j.event.From != "" {
		t.dismiss(j.event.From)
	}
	switch {
	case f == nil:
		t.presenceTold(j.event.Kind, err)
	case err != nil:
		t.failed(f, err)
		t.hold(j.event.From, retryPause(f.fails))
	case j.grows:
		t.growthTold(f, j.event)
	case f.state == missing && j.event.Kind == Gone:
		t.forget(f)
	case f.state == telling:
		t.settled(f)
	default: // it changed or went meanwhile
		f.told = true
	}
}

func (t *tracker) growthTold(f *file, e Event) {
	f.fails = 0
	if g := f.growth; g != nil {
		g.from, g.size = "", e.Identity.Size
	}
}

// dismiss takes note that what was told of path is now told of another one.
func (t *tracker) dismiss(path string) {
	if old := t.tree.missing[path]; old != nil {
		t.forget(old)
	}
	if old := t.tree.find(path); old != nil {
		old.told = false
		t.touch(old.dir, old.name, 0)
	}
}

// hold keeps a file from being told as gone before it was told again where it
// is now.
func (t *tracker) hold(path string, pause time.Duration) {
	if old := t.tree.missing[path]; old != nil {
		t.wait(old, pause+t.quiet())
	}
}

// settled takes note that a file is as the caller knows it.
func (t *tracker) settled(f *file) {
	t.unqueue(f)
	t.tree.endGrowth(f)
	f.state, f.told, f.moved, f.active, f.fails = done, true, false, false, 0
}

// failed plans another attempt for a file that could not be told.
func (t *tracker) failed(f *file, err error) {
	if f.state == forgotten {
		return
	}
	if f.fails == 0 {
		t.log.Warn("file is tried again later", "path", t.path(f), "err", err)
	}
	f.fails = min(f.fails, 254) + 1
	pause := retryPause(f.fails)
	switch {
	case f.state == telling || f.state == ready:
		f.state = ready
		t.wait(f, pause)
	case f.state == missing:
		t.wait(f, pause)
	case f.growth != nil:
		f.growth.fresh, f.growth.last = true, t.now()+pause-growthPause
	}
}

func (t *tracker) presenceTold(kind Kind, err error) {
	p := &t.presence
	if err != nil {
		if p.fails == 0 {
			t.log.Warn("folder is told again later", "event", kind, "err", err)
		}
		p.fails = min(p.fails, 254) + 1
		p.retry = t.now() + retryPause(p.fails)
		return
	}
	p.fails, p.retry, p.told = 0, 0, kind == Available
	if len(p.news) > 0 && p.news[0] == kind {
		p.news = p.news[1:]
	}
	if len(p.news) > 0 || p.told == p.there {
		return
	}
	p.news = []Kind{Unavailable} // it went while Available was told
	if p.there {
		p.news = []Kind{Available}
	}
}
