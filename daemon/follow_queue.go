package daemon

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/vidsync/vidsync/blockstore"
)

// followsAtOnce is how many of the fetches that run may be those of follows: one
// place is left for people.
const followsAtOnce = fetchesAtOnce - 1

// follows tells whether the task goes behind those that people asked for. The
// caller holds the queue's mu.
func (t *task) follows() bool { return t.follow != nil }

// goesBefore orders two tasks that are due, of which at least one follows.
func (t *task) goesBefore(other *task) bool {
	switch {
	case !t.follows() || !other.follows():
		return !t.follows()
	case t.follow.Order != other.follow.Order:
		return t.follow.Order < other.follow.Order
	}
	return t.job.Created.Before(other.job.Created)
}

// runningFollows counts the fetches of follows that run. The caller holds mu.
func (q *jobQueue) runningFollows() int {
	count := 0
	for id := range q.running {
		if q.tasks[id].follows() {
			count++
		}
	}
	return count
}

// followTasks counts the fetches that follow a peer's catalogue, and those of
// them that do not pause after an attempt.
func (q *jobQueue) followTasks(peer string) (all, due int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for id, t := range q.tasks {
		if !t.follows() || t.follow.Peer != peer {
			continue
		}
		all++
		if q.running[id] != nil || !t.job.NotBefore.After(now) {
			due++
		}
	}
	return all, due
}

// hurryFollows makes the fetches that follow a peer's catalogue due now. Their
// pauses grow anew: it was the peer that was not there.
func (q *jobQueue) hurryFollows(peer string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for id, t := range q.tasks {
		follows := t.follows() && t.follow.Peer == peer || strings.HasPrefix(id, kindLive+"/"+peer+"/")
		if follows && q.running[id] == nil {
			t.job.NotBefore, t.failed = time.Time{}, 0
		}
	}
	q.wake()
}

// dropFollows forgets the fetches that follow a peer's catalogue and have not
// been attempted yet, but for those of finished recordings of which something
// came.
func (q *jobQueue) dropFollows(peer string, begun func(fetchSpec) bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for id, t := range q.tasks {
		if !t.follows() || t.follow.Peer != peer || q.running[id] != nil || t.job.Attempts > 0 {
			continue
		}
		var spec fetchSpec
		if err := json.Unmarshal(t.job.Spec, &spec); err == nil && begun(spec) {
			continue
		}
		if err := q.store.RemoveJob(id); err != nil {
			return err
		}
		q.end(t, errGivenUp)
	}
	return nil
}

// supply stores jobs together with what else changes, and queues them. Jobs that
// are queued already are left as they are.
func (q *jobQueue) supply(jobs []blockstore.Job, changes []blockstore.Change) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	var fresh []blockstore.Job
	for _, job := range jobs {
		if q.tasks[job.ID] == nil {
			fresh = append(fresh, job)
			changes = append(changes, blockstore.StoreJob(job))
		}
	}
	if err := q.store.Apply(changes...); err != nil {
		return err
	}
	for _, job := range fresh {
		q.add(job)
	}
	return nil
}
