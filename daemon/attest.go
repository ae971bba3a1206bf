package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/transcribe"
)

const (
	// stateReceipt is the kind of state that is a signed receipt, of this node
	// or another. Its key is CID/HOLDER.
	stateReceipt = "receipt"
	// stateAttest is the kind of state that is a video which was here before a
	// followed peer offered it, and is to be read before a receipt says so. Its
	// key is the CID.
	stateAttest = "attest"

	attestRetry = 10 * time.Minute
)

func receiptKey(video cid.Cid, holder peer.ID) string { return video.String() + "/" + holder.String() }

// storedReceipt is the receipt of a holder; fs.ErrNotExist if there is none.
func (n *Node) storedReceipt(video cid.Cid, holder peer.ID) (protocol.SignedReceipt, error) {
	data, err := n.store.State(stateReceipt, receiptKey(video, holder))
	if err != nil {
		return protocol.SignedReceipt{}, err
	}
	return protocol.ParseSignedReceipt(data)
}

// readBack reads a video that a followed peer has led to back from the disk
// before it gets its name: a receipt is to vouch for the disk, not for memory.
// Pieces that are wrong are fetched again.
func (n *Node) readBack(ctx context.Context, f *fetch, file *assemble.File, m *manifest.Manifest) error {
	if f.spec.Follow == nil {
		return nil
	}
	var done atomic.Int64
	started := time.Now()
	f.task.setReport(func() api.Progress {
		return checkingProgress(f.displayName(), done.Load(), m.Size(), time.Since(started))
	})
	lost, err := file.Reread(ctx, func(bytes int64) { done.Add(bytes) })
	if err == nil && lost > 0 {
		err = fmt.Errorf("%w: the disk did not give back %d bytes", assemble.ErrIncomplete, lost)
	}
	return err
}

func checkingProgress(name string, done, size int64, spent time.Duration) api.Progress {
	p := api.Progress{Phase: "checking", Name: name, Done: done, Size: size, ETASeconds: -1, Peers: []api.PeerShare{}}
	if done > 0 && spent > 0 {
		p.BytesPerSecond = float64(done) / spent.Seconds()
		p.ETASeconds = float64(size-done) / p.BytesPerSecond
	}
	return p
}

// attest signs that a video which a followed peer has led to is here whole. The
// bytes were read back.
func (n *Node) attest(f *fetch, m *manifest.Manifest) error {
	if f.spec.Follow == nil {
		return nil
	}
	return n.signReceipt(f.video, m.Size(), f.spec.Follow.Peer)
}

// signReceipt stores a receipt of this node, with notices of it for the peers
// that are followed and one more.
func (n *Node) signReceipt(video cid.Cid, size int64, more ...string) error {
	r, err := protocol.SignReceipt(n.key, video, size, time.Now())
	if err != nil {
		return err
	}
	data, err := r.MarshalBinary()
	if err != nil {
		return err
	}
	to, err := n.followedPeers(more...)
	if err != nil {
		return err
	}
	changes := []blockstore.Change{blockstore.StoreState(stateReceipt, receiptKey(video, n.self), data)}
	for id := range to {
		changes = append(changes, storeNotice(id, noticeReceipt, video))
	}
	defer notify(n.outbox.due)
	return n.store.Apply(changes...)
}

// followedPeers are the IDs of the peers that are followed, and of some more.
func (n *Node) followedPeers(more ...string) (map[string]bool, error) {
	records, err := n.follows.all()
	ids := map[string]bool{}
	for id := range records {
		ids[id.String()] = true
	}
	for _, id := range more {
		ids[id] = true
	}
	return ids, err
}

// acknowledgement is how a followed peer gets to know that a video of it was here
// before: by the receipt that there is, or by one that is made once the video was
// read. There is none for a video whose file is gone.
func (n *Node) acknowledgement(video cid.Cid, to string) ([]blockstore.Change, error) {
	_, err := n.storedReceipt(video, n.self)
	if errors.Is(err, fs.ErrNotExist) {
		return []blockstore.Change{blockstore.StoreState(stateAttest, video.String(), nil)}, nil
	}
	if err != nil {
		return nil, err
	}
	if _, state, err := n.fileState(video); err != nil || state != videoWhole {
		return nil, err // it is not true any more
	}
	changes := []blockstore.Change{storeNotice(to, noticeReceipt, video)}
	if t := n.transcriptState(video); t != nil && t.State == string(transcribe.Done) {
		changes = append(changes, storeNotice(to, noticeTranscript, video))
	}
	return changes, nil
}

// attestStored reads videos that were here before, one after another, and signs
// that they are, until ctx ends.
func (n *Node) attestStored(ctx context.Context) error {
	tick := time.NewTicker(attestRetry)
	defer tick.Stop()
	for {
		for s, err := range n.store.States(stateAttest, "") {
			if err != nil {
				return err
			}
			err := n.attestOne(ctx, s.Key)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			n.logged("read back "+s.Key, err)
		}
		select {
		case <-n.attestations:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// attestOne reads one video. If it turns out not to be here whole, there is
// nothing to sign, and verify says why.
func (n *Node) attestOne(ctx context.Context, key string) error {
	video, err := cid.Decode(key)
	if err != nil {
		return err
	}
	path, err := n.filePath(video)
	if err == nil {
		err = n.rereadFile(ctx, video, path)
	}
	if code := api.CodeOf(err); code == api.CodeNotFound || errors.Is(err, manifest.ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
		n.log.Warn("video cannot be attested", "video", video, "reason", err)
		return n.store.DropState(stateAttest, key)
	}
	if err != nil {
		return err
	}
	return n.store.DropState(stateAttest, key)
}

// rereadFile reads a file of a video as verify does, and signs a receipt.
func (n *Node) rereadFile(ctx context.Context, video cid.Cid, path string) error {
	m, err := n.lib.manifest(ctx, video)
	if err != nil {
		return err
	}
	file, err := n.store.FileAt(path)
	if err != nil {
		return err
	}
	var done atomic.Int64
	c := checker{node: n, m: m, path: path, done: &done}
	if err := c.run(ctx); err != nil {
		return err
	}
	n.noteDamage(file, &c)
	if len(c.bad) > 0 {
		return fmt.Errorf("%s: %w", path, manifest.ErrCorrupt)
	}
	return n.signReceipt(video, m.Size())
}
