package blockstore

import (
	"errors"
	"sync"
)

// Changes that wait while another is brought to stable storage are committed
// together then: many small ones cost one sync of the index and one of the
// journal.
const (
	maxTogether      = 64        // changes
	maxTogetherBytes = 512 << 10 // keys and values of them all: under half of what Badger accepts

	recordBytes      = 2 << 10 // about what a file and its catalogue entry take
	blockRecordBytes = 256     // and one block besides its proof
)

var errJoint = errors.New("write index: a change that was to go with this one broke off")

// joint is a change that others may be committed with.
type joint struct {
	build  func(t txn) error // may run again
	weight int               // in bytes
	over   bool              // under Store.writing, as is err
	err    error
}

// queue is the changes that wait.
type queue struct {
	mu      sync.Mutex
	waiting []*joint // in the order in which they came
}

func (q *queue) add(j *joint) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, j)
}

// take takes those out that go into one transaction, at least one.
func (q *queue) take() []*joint {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, bytes := 0, 0
	for n < min(len(q.waiting), maxTogether) {
		if bytes += q.waiting[n].weight; n > 0 && bytes > maxTogetherBytes {
			break
		}
		n++
	}
	taken := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	return taken
}

// updateTogether is update for a change of about weight bytes that may share a
// transaction with others, and its syncs. build may be called more than once.
func (s *Store) updateTogether(weight int, build func(t txn) error) error {
	if err := checkRoom(s.dir, writeReserve); err != nil {
		return err
	}
	j := &joint{build: build, weight: weight}
	s.queue.add(j)
	s.commitQueued(j)
	if s.written.Load() > dropBytes {
		s.dropPages()
	}
	return j.err
}

// commitQueued returns when j is over: whoever held s.writing before may have
// committed it.
func (s *Store) commitQueued(j *joint) {
	s.writing.Lock()
	defer s.writing.Unlock()
	for !j.over {
		s.commitJoint(s.queue.take())
	}
}

// commitJoint commits changes in one transaction. If one of them cannot be
// built, each gets its own. The caller holds s.writing.
func (s *Store) commitJoint(all []*joint) {
	for _, j := range all {
		j.over, j.err = true, errJoint // also if a build panics
	}
	built := false
	err := s.commit(func(t txn) error {
		for _, j := range all {
			if err := j.build(t); err != nil {
				return err
			}
		}
		built = true
		return nil
	})
	for _, j := range all {
		j.err = err
		if !built && len(all) > 1 {
			j.err = s.commit(j.build)
		}
	}
}
