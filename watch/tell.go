package watch

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
)

// handler calls handle, for each event in a goroutine of its own.
type handler struct {
	group   *errgroup.Group // of Run, which waits for them
	handle  func(context.Context, Event) error
	results chan result // one for each job
}

// result is what handle returned.
type result struct {
	job *job
	err error
}

func (h handler) begin(ctx context.Context, j *job) {
	h.group.Go(func() error {
		err := h.handle(ctx, j.event)
		select {
		case <-ctx.Done():
		case h.results <- result{j, err}:
		}
		return nil
	})
}

// job is an event that handle is busy with.
type job struct {
	event Event
	file  *file // nil: the folder
	grows bool  // it is about a file that grows
}

// tell gives handle what it can take now.
func (t *tracker) tell(ctx context.Context, h handler) {
	for t.tellable() && ctx.Err() == nil {
		j := t.pick()
		if j == nil {
			return
		}
		t.jobs = append(t.jobs, j)
		h.begin(ctx, j)
	}
}

// tellable tells whether there may be something to pick. Only short files that
// are finished join each other: whatever else is next waits for them, and those
// after it wait for that.
func (t *tracker) tellable() bool {
	if len(t.jobs) == 0 {
		return true
	}
	first, busy := t.ready.first(), t.jobs[0]
	return len(t.jobs) < t.cfg.Together && busy.event.Kind == Finished && t.isShort(busy.file) && !t.alone &&
		len(t.presence.news) == 0 && len(t.growing) == 0 && first != nil && t.isShort(first)
}

// isShort tells whether a file may be told while others like it are.
func (t *tracker) isShort(f *file) bool {
	return f.rank() == finishedRank && f.growth == nil && f.id.Size < t.cfg.Short
}

// isBusy tells whether handle is busy with the file, or with what had its path,
// or with the same file under another.
func (t *tracker) isBusy(f *file) bool {
	if len(t.jobs) == 0 {
		return false
	}
	path := t.path(f)
	return slices.ContainsFunc(t.jobs, func(j *job) bool {
		return j.event.Path == path || j.event.Identity.inode() == f.id.inode()
	})
}

// pick returns what is to be told next, and nil if there is nothing.
func (t *tracker) pick() *job {
	if p := &t.presence; len(p.news) > 0 && t.now() >= p.retry {
		return &job{event: Event{Kind: p.news[0], Path: t.cfg.Dir, RelPath: ".", Reason: t.presenceReason()}}
	}
	if !t.grew { // files that grow do not keep finished ones waiting
		if j := t.pickGrowing(); j != nil {
			return j
		}
	}
	t.grew = false
	if j := t.pickReady(); j != nil || len(t.jobs) > 0 {
		return j
	}
	return t.pickGrowing()
}

func (t *tracker) presenceReason() string {
	if t.presence.news[0] == Unavailable {
		return t.presence.reason
	}
	return "there again"
}

func (t *tracker) pickGrowing() *job {
	for len(t.growing) > 0 {
		f := t.growing[0]
		t.growing[0] = nil
		t.growing = t.growing[1:]
		g := f.growth
		if g == nil || !g.queued {
			continue
		}
		g.queued = false
		if f.state != settling || !g.fresh {
			continue
		}
		e := t.eventOf(f, Growing)
		e.Stable = g.size
		if e.From = t.grewAt(f); e.From != "" {
			e.Kind = Moved
		}
		g.told, g.fresh, g.last, t.grew = true, false, t.now(), true
		return &job{event: e, file: f, grows: true}
	}
	return nil
}

// pickReady returns the next event of the files that are ready. As long as
// there are files to look at now, one of them may be older.
func (t *tracker) pickReady() *job {
	for n := 0; n < burst; n++ {
		f := t.ready.first()
		if f == nil || f.rank() > 0 && t.overdue() || len(t.jobs) > 0 && !t.isShort(f) {
			return nil
		}
		t.ready.take()
		if t.isBusy(f) {
			t.wait(f, slot)
			continue
		}
		e, ok := t.decide(f)
		switch {
		case !ok:
		case len(t.jobs) > 0 && e.Kind != Finished:
			f.state, t.alone = ready, true
			t.ready.put(f)
			return nil
		default:
			return &job{event: e, file: f}
		}
	}
	return nil
}

func (t *tracker) overdue() bool {
	f := t.waiting.first()
	return f != nil && f.due <= t.now()
}
