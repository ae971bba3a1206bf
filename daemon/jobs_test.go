package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"reflect"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
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
	return testJobOf(testVideo(t, seed))
}

func testJobOf(m *manifest.Manifest) blockstore.Job {
	return blockstore.Job{ID: jobID(kindFetch, m.CID()), Kind: kindFetch, Video: m.CID(), Spec: []byte("{}")}
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
			task, _, err := q.submit(testJob(t, 1))
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
	if _, _, err := q.submit(testJob(t, 1)); err != nil {
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
	job := testJob(t, 1)
	first, _, err := q.submit(job)
	if err != nil {
		t.Fatal(err)
	}
	job.Spec = []byte(`{"output":"/b"}`)
	second, joined, err := q.submit(job)
	if err != nil || first != second || !joined {
		t.Errorf("a second submission: task is the same %v, joined %v, %v", first == second, joined, err)
	}
	heard := make(chan string, 4)
	begun := make(chan struct{})
	end := make(chan struct{})
	work(t, q, func(_ context.Context, tk *task) error {
		tk.listen(func(spec []byte) { heard <- string(spec) })
		close(begun)
		<-end
		return nil
	})
	<-begun
	job.Spec = []byte(`{"output":"/c"}`)
	for range 2 { // the same request twice counts once
		if third, joined, err := q.submit(job); err != nil || third != first || !joined {
			t.Errorf("while it runs: task is the same %v, joined %v, %v", third == first, joined, err)
		}
	}
	close(end)
	if err := first.wait(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{}`, `{"output":"/b"}`, `{"output":"/c"}`} {
		if got := <-heard; got != want {
			t.Errorf("heard of %s, want %s", got, want)
		}
	}
	if len(heard) > 0 {
		t.Errorf("heard of %s too", <-heard)
	}
}

func TestBlend(t *testing.T) {
	specs := [][]byte{
		[]byte(`{"no_transcribe":true,"peers":["/a"]}`),
		[]byte(`{"name":"talk.mp4","ticket":"old","output":"/x","peers":["/a","/b"]}`),
		[]byte(`{"name":"other.mp4","ticket":"new","output":"/y","detached":true}`),
	}
	got, err := blend(specs)
	want := fetchSpec{Name: "talk.mp4", Ticket: "new", Output: "/x", Peers: []string{"/a", "/b"}, Detached: true}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("blend: %+v, %v, want %+v", got, err, want)
	}
	if _, err := blend([][]byte{[]byte("damaged")}); err == nil {
		t.Error("a damaged request is accepted")
	}
}

func TestGiveUp(t *testing.T) {
	for _, running := range []bool{false, true} {
		q := testQueue(t)
		job, _, err := q.submit(testJob(t, 1))
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

// A job that is given up just as an attempt asks for another one stays gone.
func TestGiveUpBeatsRetry(t *testing.T) {
	q := testQueue(t)
	attempts, end := make(chan struct{}, 10), make(chan struct{})
	work(t, q, func(context.Context, *task) error {
		attempts <- struct{}{}
		<-end // whatever becomes of the context
		return &waitError{err: errors.New("not yet"), pause: time.Nanosecond}
	})
	job, _, err := q.submit(testJob(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	<-attempts
	q.stop(job.job.ID)
	close(end)
	if err := q.giveUp(t.Context(), job.job.ID); err != nil {
		t.Fatal(err)
	}
	if err := job.wait(t.Context(), nil); !errors.Is(err, errGivenUp) {
		t.Errorf("waited for %v", err)
	}
	if _, err := q.store.Job(job.job.ID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the job is still stored: %v", err)
	}
	if q.task(job.job.ID) != nil || len(attempts) > 0 {
		t.Error("there is another attempt")
	}
}

func TestCrowded(t *testing.T) {
	q := testQueue(t)
	begun, end := make(chan struct{}, 2), make(chan struct{})
	defer close(end)
	work(t, q, func(context.Context, *task) error { begun <- struct{}{}; <-end; return nil })
	if _, _, err := q.submit(testJob(t, 1)); err != nil {
		t.Fatal(err)
	}
	<-begun
	if q.crowded(kindFetch) {
		t.Error("crowded by the job that runs")
	}
	if _, _, err := q.submit(testJob(t, 2)); err != nil {
		t.Fatal(err)
	}
	if !q.crowded(kindFetch) || q.crowded(kindTranscribe) {
		t.Error("a job that is due and not at work does not count")
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
	task, _, err := q.submit(testJob(t, 1))
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

// The pause counts what failed in a row in this process. Attempts that the end
// of an earlier one cut short say nothing of the next.
func TestPausesGrowAnew(t *testing.T) {
	q := testQueue(t)
	job := testJob(t, 1)
	job.State, job.Attempts, job.Spec = stateRunning, 9, []byte(`{"follow":{"peer":"p"}}`)
	if err := errors.Join(q.store.PutJob(job), q.resume()); err != nil {
		t.Fatal(err)
	}
	fail := func() time.Duration {
		t.Helper()
		tk := q.task(job.ID)
		_, cancel := context.WithCancelCause(t.Context())
		q.running[job.ID] = cancel
		q.attempt(t.Context(), t.Context(), tk, func(context.Context, *task) error {
			return &waitError{err: errors.New("nobody has it")}
		})
		return time.Until(q.task(job.ID).job.NotBefore)
	}
	first, second := fail(), fail()
	if first > 2*retryFirst || second < first {
		t.Errorf("pauses of %v and %v, want them to begin at %v and grow", first, second, retryFirst)
	}
	for range 8 {
		fail()
	}
	q.hurryFollows("p")
	if again := fail(); again > 2*retryFirst {
		t.Errorf("a pause of %v after the peer came back", again)
	}
}

func TestStoppedNodeBeginsNoJob(t *testing.T) {
	q := testQueue(t)
	for seed := range byte(3) {
		if _, _, err := q.submit(testJob(t, seed)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	begun := 0
	err := q.work(ctx, kindFetch, func(context.Context, *task) error {
		begun++
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || begun != 1 {
		t.Errorf("%d jobs were begun, and work ended with %v", begun, err)
	}
}

func TestFetchOutcome(t *testing.T) {
	nobody := &waitError{err: api.Errorf(api.CodeUnavailable, "no provider")}
	yields := &waitError{err: nobody.err, yields: true}
	tests := []struct {
		name     string
		attempts int
		detached bool
		err      error
		again    bool
		code     api.Code
	}{
		{"a user waits", 1, false, nobody, false, api.CodeUnavailable},
		{"nobody waits", 1, true, nobody, true, api.CodeUnavailable},
		{"after a restart", 2, false, nobody, true, api.CodeUnavailable},
		{"others go first", 1, false, yields, true, api.CodeUnavailable},
		{"disk full", 1, false, fmt.Errorf("x: %w", assemble.ErrNoSpace), true, api.CodeNoSpace},
		{"no room for the index", 1, false, fmt.Errorf("x: %w", syscall.ENOSPC), true, api.CodeNoSpace},
		{"name is taken", 1, false, fmt.Errorf("x: %w", assemble.ErrExists), false, api.CodeOther},
		{"no file name", 1, false, fmt.Errorf("x: %w", assemble.ErrName), false, api.CodeUsage},
	}
	for _, tt := range tests {
		err := fetchOutcome(tt.attempts, tt.detached, tt.err)
		_, again := errors.AsType[*waitError](err)
		if again != tt.again || api.CodeOf(err) != tt.code {
			t.Errorf("%s: %v, again %v, want %v with code %d", tt.name, err, again, tt.again, tt.code)
		}
	}
}
