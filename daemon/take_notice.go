package daemon

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/protocol"
)

// TakeNotice stores what a trusted peer tells about a video of this node. It
// implements protocol.NoticeTaker.
func (n *Node) TakeNotice(from peer.ID, notice protocol.Notice) error {
	if notice.Receipt != nil {
		return n.takeReceipt(from, *notice.Receipt)
	}
	return n.wantTranscript(notice.Transcript, from)
}

// takeReceipt stores a receipt of its sender for a video that is here. The
// newest of one holder counts: it is who last read the video's bytes.
func (n *Node) takeReceipt(from peer.ID, r protocol.SignedReceipt) error {
	if r.Holder != from {
		return fmt.Errorf("%w: receipt of %s sent by %s", protocol.ErrReceipt, r.Holder, from)
	}
	if err := r.Verify(); err != nil {
		return err
	}
	v, err := n.store.Video(r.Video)
	if err != nil {
		return toldLater(err)
	}
	if v.Size != r.Size {
		return fmt.Errorf("video %s of %d bytes: %w", r.Video, r.Size, fs.ErrNotExist)
	}
	old, err := n.storedReceipt(r.Video, from)
	if err == nil && old.Verify() == nil && !r.At.After(old.At) {
		return nil
	}
	data, err := r.MarshalBinary()
	if err != nil {
		return err
	}
	if err := n.storeReceipt(v, from, data); err != nil {
		return toldLater(err)
	}
	n.log.Info("a peer holds a video", "peer", from, "video", r.Video)
	notify(n.removals.due)
	return nil
}

// toldLater has a peer come again with a notice that this node could not store.
func toldLater(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: %w", protocol.ErrBusy, err)
}

// wantTranscript notes that a peer has the transcript of a video that is here
// without one.
func (n *Node) wantTranscript(video cid.Cid, from peer.ID) error {
	if _, err := n.store.Video(video); err != nil {
		return toldLater(err)
	}
	if n.hasTranscript(video) {
		return nil
	}
	if err := n.store.Apply(blockstore.StoreState(stateWanted, video.String(), []byte(from.String()))); err != nil {
		return toldLater(err)
	}
	notify(n.wanted)
	return nil
}
