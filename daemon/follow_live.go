package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/bits"
	"path"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

// stateLive is the kind of the records of recordings that a followed peer has not
// finished. The key is liveKey's.
const stateLive = "follow-live"

// liveRecord is the newest version of a recording.
type liveRecord struct {
	Spec  fetchSpec `json:"spec"`
	Video string    `json:"video"`
	Size  int64     `json:"size"`
	Ended bool      `json:"ended,omitempty"` // its file was gone before it was finished
	// Unwanted recordings have a name now that the follow's patterns do not want.
	Unwanted bool `json:"unwanted,omitempty"`
}

// recordingName is what this node calls a recording of a peer. No peer can choose
// the name of another one's.
func recordingName(peer, recording string) string {
	sum := sha256.Sum256([]byte(peer + "\x00" + recording))
	return hex.EncodeToString(sum[:20])
}

// liveKey is the key of a recording's record. The ID of its job is kindLive, a
// slash and the same.
func liveKey(spec fetchSpec) string { return spec.Follow.Peer + "/" + spec.Recording }

func liveJobID(spec fetchSpec) string { return kindLive + "/" + liveKey(spec) }

// entryChanges are what an entry of a followed catalogue that is wanted leads to.
// A finished recording takes the place of its unfinished versions. size is that of
// their values in bytes.
func entryChanges(spec fetchSpec, e protocol.Entry) (changes []blockstore.Change, size int, err error) {
	for _, id := range recordingIDs(e.Recording) {
		spec.Recordings = append(spec.Recordings, recordingName(spec.Follow.Peer, id))
	}
	if len(spec.Recordings) > 0 {
		spec.Recording = spec.Recordings[len(spec.Recordings)-1]
	}
	if isUnfinished(e.State) {
		data, err := json.Marshal(liveRecord{Spec: spec, Video: e.Video.String(), Size: e.Size, Ended: e.State == videoEnded})
		return []blockstore.Change{blockstore.StoreState(stateLive, liveKey(spec), data)}, len(data), err
	}
	data, err := json.Marshal(spec)
	changes = []blockstore.Change{blockstore.StoreState(stateEntry, entryKey(spec, e.Video.String()), data)}
	for _, name := range spec.Recordings {
		changes = append(changes, blockstore.ForgetState(stateLive, liveKey(spec.of(name))))
	}
	return changes, len(data), err
}

// of is the same request for one of its recordings.
func (s fetchSpec) of(recording string) fetchSpec {
	s.Recording = recording
	return s
}

// unwantedChanges are what an entry leads to that is not wanted, since it is a
// removal, or by the patterns of the follow. Of a recording that they did want
// before, by the name that it had, nothing stays; of one whose video was removed
// before it was here, what came is kept.
func (l *followList) unwantedChanges(peer string, e protocol.Entry) (changes []blockstore.Change, err error) {
	if !e.Removed && !isKnownState(e.State) {
		return nil, nil
	}
	for _, id := range recordingIDs(e.Recording) {
		key := peer + "/" + recordingName(peer, id)
		r, err := l.live(key)
		if known, err := found(r, err); err != nil {
			return nil, err
		} else if !known {
			continue
		}
		change, err := r.ended(key, e.Removed)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// ended is the change that makes the record one of a recording that will not be
// finished here: what came is kept, or not.
func (r liveRecord) ended(key string, keep bool) (blockstore.Change, error) {
	r.Ended, r.Unwanted = keep, !keep
	data, err := json.Marshal(r)
	return blockstore.StoreState(stateLive, key, data), err
}

// live is the newest version of a recording; fs.ErrNotExist once it is finished,
// or not followed any more.
func (l *followList) live(key string) (r liveRecord, err error) {
	data, err := l.store.State(stateLive, key)
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	return r, err
}

// liveQueued counts the recordings that are queued or fetched, by peer.
func (q *jobQueue) liveQueued() map[string]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	count := map[string]int{}
	for id, t := range q.tasks {
		if t.job.Kind == kindLive {
			peer, _, _ := strings.Cut(strings.TrimPrefix(id, kindLive+"/"), "/")
			count[peer]++
		}
	}
	return count
}

// feedLive makes jobs of the recordings that are not finished, as there is room
// in the queue.
func (n *Node) feedLive(ctx context.Context) error {
	var jobs []blockstore.Job
	of := n.jobs.liveQueued()
	for s, err := range n.store.States(stateLive, "") {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		peer, _, _ := strings.Cut(s.Key, "/")
		if of[peer] >= maxLiveOfPeer {
			continue
		}
		id := kindLive + "/" + s.Key
		if queued, _ := n.jobs.queued(id); queued {
			continue
		}
		var r liveRecord
		if err := json.Unmarshal(s.Value, &r); err != nil {
			return fmt.Errorf("recording %s: %w", s.Key, err)
		}
		spec, err := json.Marshal(r.Spec)
		if err != nil {
			return err
		}
		now := time.Now().UTC()
		of[peer]++
		jobs = append(jobs, blockstore.Job{ID: id, Kind: kindLive, State: stateQueued, Spec: spec, Created: now, Updated: now})
	}
	if len(jobs) == 0 {
		return nil
	}
	return n.jobs.supply(jobs, nil)
}

// keepLive makes a video of what came of a recording that will not be finished:
// its whole blocks from the start.
func (n *Node) keepLive(ctx context.Context, spec fetchSpec) error {
	receipt, err := n.store.RecordingReceipt(spec.Recording)
	if known, err := found(receipt, err); err != nil || !known {
		return err
	}
	m, err := n.lib.manifest(ctx, receipt.Video)
	if err != nil {
		return err
	}
	kept, err := wholeStart(m, receipt.Masks)
	if err != nil {
		return err
	}
	if kept.Size() == 0 {
		return n.dropLive(spec)
	}
	if err := n.store.PutManifest(kept); err != nil {
		return err
	}
	spec.NoTranscribe = n.cfg.NoTranscribe
	data, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	n.log.Warn("recording ended before it was finished; what came is kept", "name", spec.Name, "bytes", kept.Size(), "peer", spec.Follow.Peer)
	_, _, err = n.jobs.submit(blockstore.Job{ID: jobID(kindFetch, kept.CID()), Kind: kindFetch, Video: kept.CID(), Spec: data})
	return err
}

// wholeStart is the video of the blocks that a receipt covers wholly, from the
// first to the last before a gap.
func wholeStart(m *manifest.Manifest, masks map[int]uint32) (*manifest.Manifest, error) {
	size := int64(0)
	var digests []manifest.Digest
	for i := range m.NumBlocks() {
		b := m.Block(i)
		if bits.OnesCount32(masks[i]) != manifest.NumPieces(b.Len) {
			break
		}
		size, digests = size+b.Len, append(digests, b.Digest)
	}
	return manifest.New(size, digests)
}

// dropLive removes what came of a recording that is here in another file, or of
// which too little came.
func (n *Node) dropLive(spec fetchSpec) error {
	receipt, err := n.store.RecordingReceipt(spec.Recording)
	if known, err := found(receipt, err); err != nil || !known {
		return err
	}
	return assemble.Discard(n.store, receipt)
}

// listedLive is a recording of a followed peer for the user.
func (n *Node) listedLive(job blockstore.Job) (out api.Video, ok bool) {
	if job.Kind != kindLive || job.State == stateDone {
		return out, false
	}
	var spec fetchSpec
	if err := json.Unmarshal(job.Spec, &spec); err != nil || spec.Follow == nil {
		return out, false
	}
	now, err := n.follows.live(liveKey(spec))
	if err != nil {
		return out, false
	}
	out = api.Video{CID: now.Video, Name: spec.Name, Size: now.Size, Added: job.Created, State: videoLive}
	receipt, err := n.store.RecordingReceipt(spec.Recording)
	if err != nil {
		return out, true // nothing came yet
	}
	out.Path = receipt.Part
	for _, mask := range receipt.Masks {
		out.Have += int64(bits.OnesCount32(mask)) * manifest.PieceSize
	}
	out.Have = min(out.Have, out.Size)
	return out, true
}

// versionOf is the video of a live record.
func (r liveRecord) versionOf() (cid.Cid, error) { return manifest.ParseVideoCID(r.Video) }

// hasBegun tells whether something came of a video while it was recorded.
func (n *Node) hasBegun(spec fetchSpec) bool {
	if spec.Recording == "" {
		return false
	}
	_, err := n.store.RecordingReceipt(spec.Recording)
	return err == nil
}

// supplyBegun makes jobs of those entries of a peer that wait of which something
// came already, so that they go on when the peer is not followed any more.
func (n *Node) supplyBegun(id peer.ID) error {
	n.follows.mu.Lock()
	defer n.follows.mu.Unlock()
	for s, err := range n.store.States(stateEntry, id.String()+"/") {
		if err != nil {
			return err
		}
		video, err := cid.Decode(path.Base(s.Key))
		var spec fetchSpec
		if err != nil || json.Unmarshal(s.Value, &spec) != nil || !n.hasBegun(spec) {
			continue
		}
		now := time.Now().UTC()
		job := blockstore.Job{ID: jobID(kindFetch, video), Kind: kindFetch, Video: video, State: stateQueued, Spec: s.Value, Created: now, Updated: now}
		if err := n.jobs.supply([]blockstore.Job{job}, []blockstore.Change{blockstore.ForgetState(stateEntry, s.Key)}); err != nil {
			return err
		}
	}
	return nil
}
