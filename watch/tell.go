package watch

import "context"

// handler calls handle for one event at a time.
type handler struct {
	jobs    chan Event
	results chan error // one for each job
}

func (h handler) run(ctx context.Context, handle func(context.Context, Event) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-h.jobs:
			err := handle(ctx, e)
			select {
			case <-ctx.Done():
				return nil
			case h.results <- err:
			}
		}
	}
}

// job is an event that handle is busy with.
type job struct {
	event Event
	file  *file // nil: the folder
	grows bool  // it is about a file that grows
}

// tell gives handle the next event if it is not busy. It fails only with ctx.
func (t *tracker) tell(ctx context.Context, jobs chan<- Event) error {
	if t.job != nil {
		return nil
	}
	j := t.pick()
	if j == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case jobs <- j.event:
		t.job = j
		return nil
	}
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
	if j := t.pickReady(); j != nil {
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
		if f == nil || f.rank() > 0 && t.overdue() {
			return nil
		}
		t.ready.take()
		if e, ok := t.decide(f); ok {
			return &job{event: e, file: f}
		}
	}
	return nil
}

func (t *tracker) overdue() bool {
	f := t.waiting.first()
	return f != nil && f.due <= t.now()
}
