package daemon

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/transcribe"
)

// openHooks takes up the events that hooks were not told yet.
func (n *Node) openHooks() error {
	rules, err := n.cfg.Hooks.parse(n.cfg.Version, n.cfg.Serve)
	if err != nil {
		return err
	}
	if n.hooks, err = openHookQueue(n.store, n.self.String(), rules, n.cfg.Serve, n.log); err != nil {
		return err
	}
	n.jobs.conclude = n.concludeJob
	return n.tellLeftAdds()
}

// newHookEvent is an event of a video, as far as the catalogue knows it; nil if no
// hook is to hear of it.
func (n *Node) newHookEvent(kind string, video cid.Cid) *hookEvent {
	if !n.hooks.wants(kind) {
		return nil
	}
	e := &hookEvent{Type: kind, CID: video.String()}
	if v, err := n.store.Video(video); err == nil {
		e.Name, e.Size = v.Name, v.Size
	}
	return e
}

// tellArrived stores the event that a fetch brought a video. A fetch that goes on
// after a crash comes here again: it is told by the time of the file's record
// that this is no other arrival.
func (n *Node) tellArrived(f *fetch, path string) error {
	e := n.newHookEvent(hookArrived, f.video)
	if e == nil {
		return nil
	}
	file, err := n.store.FileAt(path)
	if err != nil {
		return err
	}
	e.Path, e.mark = path, path+" "+file.When.UTC().Format(time.RFC3339Nano)
	if f.spec.Follow != nil {
		e.PeerID = f.spec.Follow.Peer
		if p, ok := n.trust.find(e.PeerID); ok {
			e.PeerName = p.Name
		}
	}
	return n.hooks.record(e)
}

// concludeJob stores a job that has ended, with the event that this is.
func (n *Node) concludeJob(t *task, job blockstore.Job) error {
	job.Updated = time.Now().UTC()
	return n.hooks.record(n.endOf(t, job), blockstore.StoreJob(job))
}

// endOf is the event that a job has ended, or nil. A transcription that is done
// without a transcript has failed for whoever waits for one.
func (n *Node) endOf(t *task, job blockstore.Job) *hookEvent {
	found, _ := t.result.(api.Transcript)
	switch {
	case job.State == stateFailed:
		return n.failedEvent(job, job.Message, nil)
	case job.Kind != kindTranscribe:
		return nil
	case found.State == string(transcribe.Done):
		return n.transcriptEvent(job.Video, found)
	}
	return n.failedEvent(job, found.Message, &found)
}

func (n *Node) failedEvent(job blockstore.Job, reason string, found *api.Transcript) *hookEvent {
	e := n.newHookEvent(hookFailed, job.Video)
	if e == nil {
		return nil
	}
	if e.Name == "" {
		e.Name = n.jobName(job)
	}
	if path, err := n.filePath(job.Video); err == nil {
		e.Path = path
	}
	e.Job, e.Reason, e.Attempts, e.Transcript = job.Kind, reason, job.Attempts, found
	return e
}

// transcriptEvent is that a transcript is ready, made here or by a peer.
func (n *Node) transcriptEvent(video cid.Cid, found api.Transcript) *hookEvent {
	e := n.newHookEvent(hookTranscript, video)
	if e == nil {
		return nil
	}
	if path, err := n.transcribedFile(video); err == nil {
		e.Path = path
	}
	e.Transcript = &found
	return e
}

// storeReceipt stores the receipt of a peer, with the event that a video is safe
// if enough peers hold it now.
func (n *Node) storeReceipt(v blockstore.Video, from peer.ID, data []byte) error {
	change := blockstore.StoreState(stateReceipt, receiptKey(v.CID, from), data)
	e := n.newHookEvent(hookSafe, v.CID)
	if e == nil {
		return n.store.Apply(change)
	}
	n.hooks.counting.Lock() // two last receipts at once would each count without the other
	defer n.hooks.counting.Unlock()
	holders, err := n.safeHolders(v)
	if err != nil {
		return err
	}
	if n.trust.has(from) && !slices.Contains(holders, from) {
		holders = append(holders, from)
	}
	if len(holders) < n.hooks.safeCount() {
		return n.store.Apply(change)
	}
	if path, err := n.filePath(v.CID); err == nil {
		e.Path = path
	}
	for _, id := range holders {
		p, _ := n.trust.find(id.String())
		e.Holders = append(e.Holders, hookHolder{PeerID: id.String(), Name: p.Name})
	}
	e.mark = strconv.FormatInt(v.Added.UnixNano(), 10) // once, unless the video is forgotten and added again
	return n.hooks.record(e, change)
}

// safeCount is how many peers must hold a video that is safe.
func (h *hookQueue) safeCount() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rules.safe
}

// stateHookAdd is the kind of state that is a file whose video is being added,
// which hooks are to hear of. Its key is the path; its value is when the file on
// record there before was added.
const stateHookAdd = "hook-add"

// tellingAdded has add put a file into the catalogue, and stores the event that it
// did. The event cannot be part of that step; so that it is not lost in between,
// the intention is stored before.
func (n *Node) tellingAdded(path string, add func() (blockstore.Video, error)) (blockstore.Video, error) {
	if !n.hooks.wants(hookAdded) {
		return add()
	}
	if err := n.store.PutState(stateHookAdd, path, []byte(n.recordedAt(path))); err != nil {
		return blockstore.Video{}, err
	}
	v, err := add()
	if err != nil {
		return v, errors.Join(err, n.store.DropState(stateHookAdd, path))
	}
	n.logged("store the event that a video was added", n.tellAdded(path))
	return v, nil
}

// recordedAt is when the file on record at a path got there, as a text; empty if
// there is none.
func (n *Node) recordedAt(path string) string {
	f, err := n.store.FileAt(path)
	if err != nil {
		return ""
	}
	return f.When.UTC().Format(time.RFC3339Nano)
}

// tellAdded stores the event that the file at a path was added, if its video is
// new with it.
func (n *Node) tellAdded(path string) error {
	done := blockstore.ForgetState(stateHookAdd, path)
	f, err := n.store.FileAt(path)
	if errors.Is(err, fs.ErrNotExist) {
		return n.store.Apply(done)
	}
	if err != nil {
		return err
	}
	v, err := n.store.Video(f.Video)
	if err != nil || !v.Added.Equal(f.When) {
		return errors.Join(err, n.store.Apply(done))
	}
	e := n.newHookEvent(hookAdded, f.Video)
	if e != nil {
		e.Path = path
	}
	return n.hooks.record(e, done)
}

// tellLeftAdds does what a process that was killed while it added files did not
// come to.
func (n *Node) tellLeftAdds() error {
	for s, err := range n.store.States(stateHookAdd, "") {
		if err != nil {
			return err
		}
		if n.recordedAt(s.Key) == string(s.Value) { // nothing came of it
			err = n.store.DropState(stateHookAdd, s.Key)
		} else {
			err = n.tellAdded(s.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
