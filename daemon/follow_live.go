package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
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
	if e.Recording != "" {
		spec.Recording = recordingName(spec.Follow.Peer, e.Recording)
	}
	if e.State == videoLive || e.State == videoEnded {
		data, err := json.Marshal(liveRecord{Spec: spec, Video: e.Video.String(), Size: e.Size, Ended: e.State == videoEnded})
		return []blockstore.Change{blockstore.StoreState(stateLive, liveKey(spec), data)}, len(data), err
	}
	data, err := json.Marshal(spec)
	changes = []blockstore.Change{blockstore.StoreState(stateEntry, entryKey(spec, e.Video.String()), data)}
	if spec.Recording != "" {
		changes = append(changes, blockstore.ForgetState(stateLive, liveKey(spec)))
	}
	return changes, len(data), err
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

// feedLive makes jobs of the recordings that are not finished, as there is room
// in the queue.
func (n *Node) feedLive(ctx context.Context) error {
	records, err := n.follows.all()
	if err != nil {
		return err
	}
	for id := range records {
		room := min(maxLiveQueued-n.jobs.count(kindLive, ""), maxLiveOfPeer-n.jobs.count(kindLive, id.String()))
		if err := n.feedLiveOf(ctx, id, room); err != nil {
			return err
		}
	}
	return nil
}

// feedLiveOf makes jobs of so many recordings of one peer. What comes of one that
// ended or is not followed any more is seen to by the job that it has.
func (n *Node) feedLiveOf(ctx context.Context, peer peer.ID, room int) error {
	var jobs []blockstore.Job
	if room <= 0 {
		return nil
	}
	for s, err := range n.store.States(stateLive, peer.String()+"/") {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if len(jobs) >= room {
			break
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
		return n.dropLive(ctx, spec)
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
func (n *Node) dropLive(ctx context.Context, spec fetchSpec) error {
	receipt, err := n.store.RecordingReceipt(spec.Recording)
	if known, err := found(receipt, err); err != nil || !known {
		return err
	}
	m, err := n.lib.manifest(ctx, receipt.Video)
	if err != nil {
		return err
	}
	target, err := spec.Follow.target(spec.Name, receipt.Video)
	if err != nil {
		return err
	}
	file, err := assemble.Open(ctx, n.store, m, target, assemble.Config{Logger: n.log, Recording: spec.Recording})
	if err != nil {
		return err
	}
	return errors.Join(file.Remove(), file.Close())
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
