package watch

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// quietTime is how long a file must be unchanged once it was closed.
	quietTime = time.Second
	// slot is what times are rounded up to, so that files found together are
	// looked at together and the oldest is told first.
	slot = 100 * time.Millisecond
	// burst is how many files are looked at before the outside is listened to.
	burst = 256
)

// tracker is the state of one Run. All of it belongs to one goroutine.
type tracker struct {
	cfg      Config
	names    names
	known    Known
	log      *slog.Logger
	notifier notifier // nil: none
	start    time.Time

	tree     *tree
	waiting  queue   // files to look at, soonest first
	ready    queue   // files to tell, oldest first
	growing  []*file // to tell that they grow
	walk     walk
	presence presence
	jobs     []*job // what handle is busy with
	alone    bool   // what is to be told next waits until there are none
	grew     bool   // what was told last was a growing file
	limits   limits
	looked   *atomic.Bool // everything was looked at since the folder was there
}

// limits remembers which limits were spoken of.
type limits struct {
	files, folders, watches bool
	// noWatch is set when there is no point in asking for more watches before
	// the next look at everything.
	noWatch bool
}

func newTracker(f *Folder) *tracker {
	return &tracker{
		cfg: f.cfg, names: f.names, known: f.known, log: f.cfg.Logger.With("dir", f.cfg.Dir), start: time.Now(),
		tree: newTree(f.cfg.Dir), waiting: queue{before: soonest}, ready: queue{before: oldest},
		presence: presence{there: true, told: true}, looked: &f.looked,
	}
}

// now is the time since the start, by a clock that nobody can set.
func (t *tracker) now() time.Duration { return time.Since(t.start) }

func (t *tracker) run(ctx context.Context, heard *notes, h handler) error {
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		select {
		case <-ctx.Done():
			t.walk.abort()
			return nil
		case <-heard.bell:
			t.follow(heard.take())
		case r := <-h.results:
			t.told(r.job, r.err)
		case <-alarm.C:
		}
		t.work()
		t.tell(ctx, h)
		alarm.Reset(max(0, t.next()-t.now()))
	}
}

// work does a bounded part of what is to be done now.
func (t *tracker) work() {
	if t.now() >= t.presence.check {
		t.checkPresence()
	}
	if t.presence.there {
		t.walkOn()
	}
	t.lookAround()
}

// next is when there is something to be done without anybody saying so.
func (t *tracker) next() time.Duration {
	at := t.presence.check
	if f := t.waiting.first(); f != nil {
		at = min(at, f.due)
	}
	if len(t.jobs) == 0 && len(t.presence.news) > 0 {
		at = min(at, t.presence.retry)
	}
	switch {
	case t.tellable() && t.ready.first() != nil:
		return 0
	case !t.presence.there:
		return at
	case t.walk.active():
		return 0
	}
	return min(at, t.walk.again)
}

// wait puts f into the queue of files to be looked at, d from now.
func (t *tracker) wait(f *file, d time.Duration) { t.waitUntil(f, t.now()+d) }

func (t *tracker) waitUntil(f *file, at time.Duration) {
	t.unqueue(f)
	f.due = (at + slot - 1).Truncate(slot)
	t.waiting.put(f)
}

func (t *tracker) unqueue(f *file) {
	t.waiting.remove(f)
	t.ready.remove(f)
}

// forget drops a file without a word.
func (t *tracker) forget(f *file) {
	t.unqueue(f)
	t.tree.forget(f)
}

func (t *tracker) warnOnce(said *bool, message string, args ...any) {
	if !*said {
		*said = true
		t.log.Warn(message, args...)
	}
}
