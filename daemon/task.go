package daemon

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
)

// maxRequests bounds the different requests that one attempt serves.
const maxRequests = 64

// task is one attempt at a job in this process.
type task struct {
	job    blockstore.Job // the queue's while it waits, its worker's while it runs
	failed int            // attempts in a row before this one, by this process; the queue's
	done   chan struct{}  // closed when the attempt has ended
	result any            // of the attempt; valid after done
	err    error          // of the attempt; valid after done
	moved  broadcast      // a fetch has got further: its manifest, its file or its exchange is there
	reads  atomic.Int64   // one more than the block where a reader of a fetch begins; 0: none has come

	mu      sync.Mutex
	report  func() api.Progress // what to show; nil before it runs
	account func() string       // why providers did not help; nil before it runs
	specs   [][]byte            // of the requests that it serves, oldest first
	hear    func(spec []byte)   // is told of requests that join; nil before it runs
	waiting int                 // calls of wait
	follow  *followedEntry      // what it goes behind for; nil: it goes by its age
}

// errGivenUp is why a job that its user removed stops.
var errGivenUp = errors.New("given up")

func newTask(job blockstore.Job) *task {
	return &task{job: job, done: make(chan struct{}), specs: [][]byte{job.Spec}, follow: followOf(job)}
}

// join adds a request that the attempt serves too.
func (t *task) join(spec []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	same := func(s []byte) bool { return bytes.Equal(s, spec) }
	if slices.ContainsFunc(t.specs, same) || len(t.specs) >= maxRequests {
		return
	}
	t.specs = append(t.specs, spec)
	t.follow = nil // somebody waits for it
	if t.hear != nil {
		t.hear(spec)
	}
}

// requests are the specs of all requests so far, oldest first.
func (t *task) requests() [][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.specs)
}

// listen has hear called with the specs of all requests, those to come
// included.
func (t *task) listen(hear func(spec []byte)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hear = hear
	for _, spec := range t.specs {
		hear(spec)
	}
}

func (t *task) setReport(report func() api.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report = report
}

func (t *task) progress() (api.Progress, bool) {
	t.mu.Lock()
	report := t.report
	t.mu.Unlock()
	if report == nil {
		return api.Progress{}, false
	}
	return report(), true
}

func (t *task) setAccount(account func() string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.account = account
}

// obstacles is a clause about the providers that did not help; empty if none
// is known.
func (t *task) obstacles() string {
	t.mu.Lock()
	account := t.account
	t.mu.Unlock()
	if account == nil {
		return ""
	}
	if text := account(); text != "" {
		return " (" + text + ")"
	}
	return ""
}

// ended tells whether the attempt has ended.
func (t *task) ended() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// wait returns once the attempt has ended, and passes progress on until then.
func (t *task) wait(ctx context.Context, emit func(api.Progress)) error {
	t.count(+1)
	defer t.count(-1)
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-t.done:
			return t.err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if p, ok := t.progress(); ok && emit != nil {
				emit(p)
			}
		}
	}
}

func (t *task) count(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting += n
}

// awaited tells whether anybody waits for the attempt.
func (t *task) awaited() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting > 0
}
