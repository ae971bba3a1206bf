package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/blockstore"
)

const (
	// maxFollowQueued is how many fetches of one followed peer are queued at a
	// time; what is more waits in the index. Those that pause after an attempt
	// count no more while the peer is connected, so that videos that it has lost
	// do not stop the rest, up to maxFollowTasks.
	maxFollowQueued = 1000
	maxFollowTasks  = 10_000

	feedCheck = 30 * time.Second // looks again in case of trouble or paused fetches
)

// feedFollows makes jobs of the entries that wait, as there is room in the queue,
// until ctx ends.
func (n *Node) feedFollows(ctx context.Context, net *network) error {
	tick := time.NewTicker(feedCheck)
	defer tick.Stop()
	for {
		records, err := n.follows.all()
		if err != nil {
			return err
		}
		for id := range records {
			n.logged("queue fetches of a follow", n.feed(ctx, net, id))
		}
		n.logged("queue recordings of a follow", n.feedLive(ctx))
		select {
		case <-n.follows.fed:
		case <-n.jobs.ended:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// feedRoom is how many more fetches of a peer may be queued.
func (n *Node) feedRoom(net *network, id peer.ID) int {
	all, due := n.jobs.followTasks(id.String())
	if net.connected(id) {
		return min(maxFollowQueued-due, maxFollowTasks-all)
	}
	return maxFollowQueued - all
}

// feed makes jobs of the first entries of one peer.
func (n *Node) feed(ctx context.Context, net *network, id peer.ID) error {
	n.follows.mu.Lock() // nobody ends or changes the follow meanwhile
	defer n.follows.mu.Unlock()
	if _, err := n.follows.get(id); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	room := n.feedRoom(net, id)
	if room <= 0 {
		return nil
	}
	s := feedStep{node: n}
	for e, err := range n.store.States(stateEntry, id.String()+"/") {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = s.take(e)
		}
		if err == nil && (len(s.changes)+len(s.jobs) >= maxFollowChanges || s.bytes >= maxFollowBytes) {
			room -= len(s.jobs)
			err = s.commit()
		}
		if err != nil {
			return err
		}
		if len(s.jobs) >= room {
			break
		}
	}
	return s.commit()
}

// feedStep is what one step of the index makes of entries.
type feedStep struct {
	node    *Node
	jobs    []blockstore.Job
	changes []blockstore.Change
	bytes   int
}

func (s *feedStep) commit() error {
	if len(s.changes) == 0 {
		return nil
	}
	err := s.node.jobs.supply(s.jobs, s.changes)
	if err == nil {
		notify(s.node.outbox.due)
		notify(s.node.attestations)
	}
	*s = feedStep{node: s.node}
	return err
}

// take decides what becomes of one entry. One whose video people fetch just now
// stays until that has ended.
func (s *feedStep) take(e blockstore.StateRecord) error {
	n := s.node
	video, err := cid.Decode(path.Base(e.Key))
	if err != nil {
		return fmt.Errorf("entry %q: %w", e.Key, err)
	}
	id := jobID(kindFetch, video)
	t, follows := n.jobs.queued(id)
	if t && !follows {
		return nil
	}
	var spec fetchSpec
	if err := json.Unmarshal(e.Value, &spec); err != nil || spec.Follow == nil {
		return errors.Join(fmt.Errorf("entry %q", e.Key), err)
	}
	here, err := n.inCatalogue(video)
	if err != nil {
		return err
	}
	keep := ""
	switch {
	case t:
		keep = n.jobs.recordingOf(id)
	case !here:
		keep = n.bestRecording(spec)
	}
	ready, err := s.endVersions(spec, keep)
	if err != nil || !ready {
		n.logged("end the recordings that a video was", err)
		return nil // it stays, and others go first
	}
	s.bytes += len(e.Value)
	s.changes = append(s.changes, blockstore.ForgetState(stateEntry, e.Key))
	switch {
	case t:
		return nil
	case here:
		return s.acknowledge(spec, video)
	}
	return s.makeJob(id, video, spec.of(keep))
}

// makeJob adds the fetch of a video.
func (s *feedStep) makeJob(id string, video cid.Cid, spec fetchSpec) error {
	data, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	s.jobs = append(s.jobs, blockstore.Job{
		ID: id, Kind: kindFetch, Video: video, State: stateQueued, Spec: data, Created: now, Updated: now,
	})
	return nil
}

// endVersions ends the jobs of the recordings that a video was, and removes what
// came of them, but for the one that its fetch goes on with. It tells whether all
// have ended.
func (s *feedStep) endVersions(spec fetchSpec, keep string) (bool, error) {
	for _, name := range spec.Recordings {
		one := spec.of(name)
		if t := s.node.jobs.stop(liveJobID(one)); t != nil && !t.ended() {
			return false, nil // it is about to
		}
		if name != keep {
			if err := s.node.dropLive(one); err != nil {
				return false, err
			}
		}
	}
	for _, name := range spec.Recordings {
		s.changes = append(s.changes, blockstore.ForgetJob(liveJobID(spec.of(name))))
	}
	return true, nil
}

// bestRecording is that of the recordings which a video was of which something
// came; empty if it was none.
func (n *Node) bestRecording(spec fetchSpec) string {
	for _, name := range spec.Recordings {
		if _, err := n.store.RecordingReceipt(name); err == nil {
			return name
		}
	}
	return spec.Recording
}

// recordingOf is the recording that a queued fetch goes on with.
func (q *jobQueue) recordingOf(id string) string {
	t := q.task(id)
	if t == nil {
		return ""
	}
	spec, err := blend(t.requests())
	if err != nil {
		return "" // the fetch says so
	}
	return spec.Recording
}

// acknowledge lets the peer know of a video that was here before, once it is
// certain that it is.
func (s *feedStep) acknowledge(spec fetchSpec, video cid.Cid) error {
	changes, err := s.node.acknowledgement(video, spec.Follow.Peer)
	s.changes = append(s.changes, changes...)
	return err
}

// queued tells whether a job is queued or running, and whether it goes behind
// those of people.
func (q *jobQueue) queued(id string) (queued, follows bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.tasks[id]
	return t != nil, t != nil && t.follows()
}
