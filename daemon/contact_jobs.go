package daemon

import (
	"context"
	"time"
)

// hurryAfterChange makes the fetches that pause due whenever this machine's
// network changes, until ctx ends: what they could not reach may be there now.
func (n *Node) hurryAfterChange(ctx context.Context, net *network) error {
	for {
		changed := net.interfaces.next()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			n.jobs.hurryAll(kindFetch)
		}
	}
}

// hurryAll makes every job of a kind due now.
func (q *jobQueue) hurryAll(kind string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for id, t := range q.tasks {
		if t.job.Kind == kind && q.running[id] == nil {
			t.job.NotBefore = time.Time{}
		}
	}
	q.wake()
}
