package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/blockstore"
)

// The kinds and states of jobs. A job's ID is its kind and its video, so a
// video has at most one of each kind.
const (
	kindFetch      = "fetch"
	kindTranscribe = "transcribe"
	kindLive       = "live" // a recording that a followed peer has not finished

	stateQueued  = "queued"
	stateRunning = "running"
	stateWaiting = "waiting"
	stateDone    = "done"
	stateFailed  = "failed"
)

const (
	fetchesAtOnce        = 4
	transcriptionsAtOnce = 1

	indexRetry = 30 * time.Second
	retryFirst = 10 * time.Second
	retryLast  = 10 * time.Minute

	progressEvery = 250 * time.Millisecond // at most 4 a second
)

func jobID(kind string, video cid.Cid) string { return kind + "/" + video.String() }

// isPending tells whether a job is to be begun again with a new index. A
// transcription is not: its video may have its transcript.
func isPending(j blockstore.Job) bool {
	return j.Kind == kindFetch && j.State != stateDone && j.State != stateFailed
}

// waitError ends an attempt at a job that is to be tried again later.
type waitError struct {
	err    error         // what to tell whoever waits now
	pause  time.Duration // 0: grows with each attempt that fails
	yields bool          // it only lets others go first: whoever waits goes on waiting
}

func (e *waitError) Error() string { return e.err.Error() }
func (e *waitError) Unwrap() error { return e.err }

// jobQueue holds the jobs that have not ended. The index is its memory: every
// change of state is stored before anything follows from it.
type jobQueue struct {
	store *blockstore.Store
	log   *slog.Logger

	mu      sync.Mutex
	tasks   map[string]*task // queued, waiting or running, by job ID
	running map[string]context.CancelCauseFunc
	changed chan struct{} // closed, and made anew, when there may be work
	ended   chan struct{} // holds one: an attempt has ended

	conclude func(*task, blockstore.Job) error // stores a job that is done or failed; nil: as any other
}

func newJobQueue(store *blockstore.Store, log *slog.Logger) *jobQueue {
	return &jobQueue{
		store: store, log: log,
		tasks: map[string]*task{}, running: map[string]context.CancelCauseFunc{}, changed: make(chan struct{}), ended: make(chan struct{}, 1),
	}
}

// resume takes up the jobs that an earlier process left.
func (q *jobQueue) resume() error {
	for job, err := range q.store.Jobs() {
		if err != nil {
			return fmt.Errorf("read jobs: %w", err)
		}
		if job.State == stateQueued || job.State == stateRunning || job.State == stateWaiting {
			job.State, job.NotBefore = stateQueued, time.Time{}
			q.enqueue(job)
		}
	}
	return nil
}

// submit stores a job and queues it. If there is an attempt at that job
// already, it is joined and serves this request too: one that waits is made at
// once, one that runs hears of it.
func (q *jobQueue) submit(job blockstore.Job) (t *task, joined bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := q.tasks[job.ID]; t != nil {
		t.join(job.Spec)
		q.hurry(t)
		return t, true, nil
	}
	job.State, job.Created, job.Updated = stateQueued, time.Now().UTC(), time.Now().UTC()
	if err := q.store.PutJob(job); err != nil {
		return nil, false, err
	}
	return q.add(job), false, nil
}

// enqueue queues a job that is stored already.
func (q *jobQueue) enqueue(job blockstore.Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := q.tasks[job.ID]; t != nil {
		q.hurry(t)
		return
	}
	q.add(job)
}

// hurry makes an attempt due now, unless it runs already: then the job is its
// worker's. The caller holds mu.
func (q *jobQueue) hurry(t *task) {
	if q.running[t.job.ID] == nil {
		t.job.NotBefore = time.Time{}
		q.wake()
	}
}

// add queues an attempt. The caller holds mu.
func (q *jobQueue) add(job blockstore.Job) *task {
	t := newTask(job)
	q.tasks[job.ID] = t
	q.wake()
	return t
}

// wake lets the workers look again. The caller holds mu.
func (q *jobQueue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// current is a stored job as it is now: what became of one that waits may not
// have fitted on a full disk.
func (q *jobQueue) current(stored blockstore.Job) blockstore.Job {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.tasks[stored.ID]
	if t == nil || q.running[stored.ID] != nil {
		return stored
	}
	return t.job
}

// pauses tells whether an attempt is not due yet.
func (q *jobQueue) pauses(t *task) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running[t.job.ID] == nil && t.job.NotBefore.After(time.Now())
}

// task is the job's attempt that is queued or running, or nil.
func (q *jobQueue) task(id string) *task {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tasks[id]
}

// crowded tells whether a job of the kind is due and has no worker.
func (q *jobQueue) crowded(kind string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	t, pause := q.first(kind)
	return t != nil && pause <= 0
}

// giveUp ends a job for good and returns once it no longer runs.
func (q *jobQueue) giveUp(ctx context.Context, id string) error {
	if t := q.stop(id); t != nil {
		select {
		case <-t.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.tasks[id] != nil {
		return nil // somebody has asked for it anew
	}
	return q.store.RemoveJob(id)
}

// stop takes an attempt that does not run off the queue, and tells one that
// runs to end. It returns the attempt, nil if there is none.
func (q *jobQueue) stop(id string) *task {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.tasks[id]
	if cancel := q.running[id]; cancel != nil {
		cancel(errGivenUp)
	} else if t != nil {
		q.end(t, errGivenUp)
	}
	return t
}

// end takes an attempt off the queue and tells who waits for it. The caller
// holds mu.
func (q *jobQueue) end(t *task, err error) {
	delete(q.tasks, t.job.ID)
	delete(q.running, t.job.ID)
	t.err = err
	close(t.done)
	notify(q.ended)
}

// work runs jobs of one kind, one after another, until ctx ends. What run is
// given as context also ends when its job is given up.
func (q *jobQueue) work(ctx context.Context, kind string, run func(context.Context, *task) error) error {
	for {
		if err := q.workOnce(ctx, kind, run); err != nil {
			return err
		}
	}
}

// workOnce waits for a job of the kind and attempts it.
func (q *jobQueue) workOnce(ctx context.Context, kind string, run func(context.Context, *task) error) error {
	jobCtx, t, err := q.next(ctx, kind)
	if err != nil {
		return err
	}
	q.attempt(ctx, jobCtx, t, run)
	return nil
}

// next waits for a job of the kind whose time has come, and marks it running. A
// node that stops begins none.
func (q *jobQueue) next(ctx context.Context, kind string) (context.Context, *task, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		q.mu.Lock()
		t, pause := q.first(kind)
		if t != nil && pause <= 0 {
			jobCtx, cancel := context.WithCancelCause(ctx)
			q.running[t.job.ID] = cancel
			q.mu.Unlock()
			return jobCtx, t, nil
		}
		changed := q.changed
		q.mu.Unlock()
		var timer <-chan time.Time
		if t != nil {
			timer = time.After(pause)
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-changed:
		case <-timer:
		}
	}
}

// first is the job of a kind that is due first, the oldest of several that are
// due, and how long until then. The caller holds mu.
func (q *jobQueue) first(kind string) (*task, time.Duration) {
	var best *task
	now := time.Now()
	crowd := q.runningFollows() >= followsAtOnce
	for id, t := range q.tasks {
		if t.job.Kind != kind || q.running[id] != nil || crowd && t.follows() {
			continue
		}
		if best == nil || earlier(t, best, now) {
			best = t
		}
	}
	if best == nil {
		return nil, 0
	}
	return best, best.job.NotBefore.Sub(now)
}

func earlier(a, b *task, now time.Time) bool {
	if a.job.NotBefore.After(now) || b.job.NotBefore.After(now) {
		return a.job.NotBefore.Before(b.job.NotBefore)
	}
	if a.follows() || b.follows() {
		return a.goesBefore(b)
	}
	return a.job.Created.Before(b.job.Created)
}

// attempt runs a job once, stores what became of it, and queues it again where
// that may help.
func (q *jobQueue) attempt(ctx, jobCtx context.Context, t *task, run func(context.Context, *task) error) {
	t.job.State, t.job.Message = stateRunning, ""
	t.job.Attempts++
	err := q.put(t.job)
	if err != nil {
		err = &waitError{err: err, pause: indexRetry} // a full disk, as a rule
	} else {
		err = run(jobCtx, t)
	}
	job, again := t.job, false
	if err != nil && ctx.Err() != nil {
		job.State, err = stateQueued, ctx.Err() // stops with the node, and goes on with it
	} else {
		job, again = outcome(job, t.failed, err)
	}
	if err != nil {
		q.log.Info("job did not succeed", "job", job.ID, "state", job.State, "reason", err)
	}
	q.settle(jobCtx, t, job, again, err)
}

// settle ends an attempt, in one step with what follows from it: a job that was
// given up is removed, another one stored and, if it is to be, queued again.
func (q *jobQueue) settle(jobCtx context.Context, t *task, job blockstore.Job, again bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	store := q.put
	if q.conclude != nil && (job.State == stateDone || job.State == stateFailed) {
		store = func(job blockstore.Job) error { return q.conclude(t, job) }
	}
	if job.Kind == kindLive && job.State == stateDone { // its fetch, or nothing, goes on
		store = func(job blockstore.Job) error { return q.store.RemoveJob(job.ID) }
	}
	if errors.Is(context.Cause(jobCtx), errGivenUp) {
		store = func(job blockstore.Job) error { return q.store.RemoveJob(job.ID) }
		again, err = false, errGivenUp
	}
	if err := store(job); err != nil {
		q.log.Error("store job", "job", job.ID, "error", err)
	}
	q.running[job.ID](nil)
	q.end(t, err)
	if again {
		q.add(job).failed = t.failed + 1
	}
}

// outcome is the job after an attempt that ended with err, and whether there
// will be another. failed is how many failed in a row before it.
func outcome(job blockstore.Job, failed int, err error) (blockstore.Job, bool) {
	if err == nil {
		job.State = stateDone
		return job, false
	}
	job.State, job.Message = stateFailed, err.Error()
	wait, ok := errors.AsType[*waitError](err)
	if !ok {
		return job, false
	}
	pause := wait.pause
	if pause == 0 {
		pause = min(retryFirst<<min(failed, 16), retryLast)
	}
	job.State, job.NotBefore = stateWaiting, time.Now().Add(jitter(pause)).UTC()
	return job, true
}

func (q *jobQueue) put(job blockstore.Job) error {
	job.Updated = time.Now().UTC()
	return q.store.PutJob(job)
}

// runJobs works off jobs until ctx ends. Only a daemon goes on with those that
// an earlier process left: a command does what it was asked and no more.
func (n *Node) runJobs(ctx context.Context) error {
	if n.cfg.Serve {
		if err := n.jobs.resume(); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for range fetchesAtOnce {
		g.Go(func() error { return n.jobs.work(ctx, kindFetch, n.runFetch) })
	}
	for range liveAtOnce {
		g.Go(func() error { return n.jobs.work(ctx, kindLive, n.runLive) })
	}
	for range transcriptionsAtOnce {
		g.Go(func() error { return n.jobs.work(ctx, kindTranscribe, n.runTranscription) })
	}
	return g.Wait()
}
