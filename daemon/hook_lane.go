package daemon

import (
	"errors"
	"time"

	"github.com/vidsync/vidsync/hook"
)

const (
	hookRetryFirst = 5 * time.Second
	hookRetryLast  = 10 * time.Minute
	// An event is given up when it is hookLifetime old and hookTries attempts
	// failed: the clock alone may have jumped.
	hookLifetime = 7 * 24 * time.Hour
	hookTries    = 10

	hooksAtOnce = 4 // deliveries of one hook
)

// hookItem is one event that a hook has not been told yet.
type hookItem struct {
	number uint64 // of its record; larger for later events
	at     time.Time
}

// hookPause is how long to wait after failures in a row.
type hookPause struct {
	failures int
	step     time.Duration
	until    time.Time
}

func (p *hookPause) fail(now time.Time, after time.Duration) {
	p.failures++
	p.step = min(max(2*p.step, hookRetryFirst), hookRetryLast)
	p.until = now.Add(max(jitter(p.step), after))
}

// hookLane is the events of one video that a hook has not been told yet. The
// first goes before the second is tried.
type hookLane struct {
	waiting []hookItem
	busy    bool
	pause   hookPause
}

// hookTarget is one hook with what it has to be told, by video. The queue's mu
// guards it.
type hookTarget struct {
	name    string
	sender  sender
	lanes   map[string]*hookLane
	pending int
	running int
	down    hookPause // nobody could be reached; one attempt at a time until somebody is
	trouble string    // of the last failure, if none succeeded since
	full    bool      // events find no room

	delivered, failures, lost int64
}

func newHookTarget(name string) *hookTarget {
	return &hookTarget{name: name, lanes: map[string]*hookLane{}}
}

func (t *hookTarget) push(video string, item hookItem) {
	l := t.lanes[video]
	if l == nil {
		l = &hookLane{}
		t.lanes[video] = l
	}
	l.waiting = append(l.waiting, item)
	t.pending++
}

// pop drops the first event of a video.
func (t *hookTarget) pop(video string) {
	l := t.lanes[video]
	l.waiting = l.waiting[1:]
	l.pause = hookPause{}
	t.pending--
	t.full = t.full && t.pending >= maxHookPending
	if len(l.waiting) == 0 {
		delete(t.lanes, video)
	}
}

// due is the video whose first event is to be tried next: of those that are due,
// the one with the oldest event. If there is none it is "", and wait is how long
// until there will be one; below 0: until something changes.
func (t *hookTarget) due(now time.Time) (video string, wait time.Duration) {
	if t.running >= hooksAtOnce || t.running > 0 && t.down.failures > 0 {
		return "", -1
	}
	best, wait := "", time.Duration(-1)
	for v, l := range t.lanes {
		until := latest(l.pause.until, t.down.until).Sub(now)
		switch {
		case l.busy:
		case until > 0:
			if wait < 0 || until < wait {
				wait = until
			}
		case best == "" || l.waiting[0].number < t.lanes[best].waiting[0].number:
			best = v
		}
	}
	return best, wait
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// failed notes a failure, and tells whether the event is not to be tried again.
func (t *hookTarget) failed(video string, now time.Time, err error) (drop bool) {
	l := t.lanes[video]
	t.failures++
	t.trouble = lastLine(err)
	f, ok := errors.AsType[*hook.Failure](err)
	if !ok {
		f = &hook.Failure{}
	}
	if f.Unreachable {
		t.down.fail(now, f.After)
	} else {
		t.down = hookPause{}
		l.pause.fail(now, f.After)
	}
	old := now.Sub(l.waiting[0].at) > hookLifetime
	return f.Gone || old && max(l.pause.failures, t.down.failures) >= hookTries
}

// hurry makes every event due now.
func (t *hookTarget) hurry() {
	t.down = hookPause{}
	for _, l := range t.lanes {
		l.pause = hookPause{}
	}
}
