package daemon

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
)

// testQueue is a queue over a real index.
func testQueue(t *testing.T) *jobQueue {
	t.Helper()
	store, err := blockstore.Open(t.TempDir(), blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return newJobQueue(store, slog.New(slog.DiscardHandler))
}

func testJob(t *testing.T, seed byte) blockstore.Job {
	t.Helper()
	video := testVideo(t, seed).CID()
	return blockstore.Job{ID: jobID(kindFetch, video), Kind: kindFetch, Video: video, Spec: []byte("{}")}
}

// work runs the queue for the length of the test.
func work(t *testing.T, q *jobQueue, run func(context.Context, *task) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := q.work(ctx, kindFetch, run); !errors.Is(err, context.Canceled) {
			t.Errorf("work ended with %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func storedState(t *testing.T, q *jobQueue, id string) string {
	t.Helper()
	job, err := q.store.Job(id)
	if err != nil {
		t.Fatal(err)
	}
	return job.State
}

func TestJobOutcomes(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name  string
		err   error
		state string
	}{
		{"success", nil, stateDone},
		{"failure", broken, stateFailed},
		{"try again later", &waitError{err: broken, pause: time.Hour}, stateWaiting},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := testQueue(t)
			work(t, q, func(context.Context, *task) error { return tt.err })
			task, err := q.submit(testJob(t, 1))
			if err != nil {
				t.Fatal(err)
			}
			if err := task.wait(t.Context(), nil); !errors.Is(err, tt.err) {
				t.Errorf("waited for %v, want %v", err, tt.err)
			}
			if got := storedState(t, q, task.job.ID); got != tt.state {
				t.Errorf("stored as %s, want %s", got, tt.state)
			}
		})
	}
}

func TestWaitingJobIsTriedAgain(t *testing.T) {
	q := testQueue(t)
	attempts := make(chan int, 10)
	work(t, q, func(_ context.Context, tk *task) error {
		attempts <- tk.job.Attempts
		if tk.job.Attempts < 3 {
			return &waitError{err: errors.New("not yet"), pause: time.Millisecond}
		}
		return nil
	})
	if _, err := q.submit(testJob(t, 1)); err != nil {
		t.Fatal(err)
	}
	for want := 1; want <= 3; want++ {
		if got := <-attempts; got != want {
			t.Errorf("attempt %d, want %d", got, want)
		}
	}
}

func TestSameJobIsJoined(t *testing.T) {
	q := testQueue(t)
	first, err := q.submit(testJob(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	second, err := q.submit(testJob(t, 1))
	if err != nil || first != second {
		t.Errorf("a second submission made another task: %v", err)
	}
}

func TestGiveUp(t *testing.T) {
	for _, running := range []bool{false, true} {
		q := testQueue(t)
		job, err := q.submit(testJob(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		if running {
			begun := make(chan struct{})
			work(t, q, func(ctx context.Context, _ *task) error { close(begun); <-ctx.Done(); return ctx.Err() })
			<-begun
		}
		if err := q.giveUp(t.Context(), job.job.ID); err != nil {
			t.Fatal(err)
		}
		if err := job.wait(t.Context(), nil); !errors.Is(err, errGivenUp) {
			t.Errorf("running %v: waited for %v", running, err)
		}
		if _, err := q.store.Job(job.job.ID); err == nil {
			t.Errorf("running %v: the job is still stored", running)
		}
	}
}

func TestResumeTakesUpUnfinishedJobs(t *testing.T) {
	q := testQueue(t)
	for i, state := range []string{stateQueued, stateRunning, stateWaiting, stateDone, stateFailed} {
		job := testJob(t, byte(i))
		job.State = state
		if err := q.store.PutJob(job); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.resume(); err != nil {
		t.Fatal(err)
	}
	if len(q.tasks) != 3 {
		t.Errorf("took up %d jobs, want those that were queued, running and waiting", len(q.tasks))
	}
}

func TestStoppedNodeKeepsItsJob(t *testing.T) {
	q := testQueue(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		q.work(ctx, kindFetch, func(ctx context.Context, _ *task) error { cancel(); <-ctx.Done(); return ctx.Err() })
	})
	task, err := q.submit(testJob(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := task.wait(t.Context(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("waited for %v", err)
	}
	if got := storedState(t, q, task.job.ID); got != stateQueued {
		t.Errorf("stored as %s, want %s", got, stateQueued)
	}
}

func TestFetchOutcome(t *testing.T) {
	nobody := &waitError{err: api.Errorf(api.CodeUnavailable, "no provider")}
	tests := []struct {
		name     string
		attempts int
		detached bool
		again    bool
	}{
		{"a user waits", 1, false, false},
		{"nobody waits", 1, true, true},
		{"after a restart", 2, false, true},
	}
	for _, tt := range tests {
		err := fetchOutcome(t.Context(), blockstore.Job{Attempts: tt.attempts}, fetchSpec{Detached: tt.detached}, nobody)
		_, again := errors.AsType[*waitError](err)
		if again != tt.again || api.CodeOf(err) != api.CodeUnavailable {
			t.Errorf("%s: %v, again %v, want %v", tt.name, err, again, tt.again)
		}
	}
}
