package protocol

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// Limits of notices that both ends know. docs/protocol.md lists them.
const (
	// MaxNoticeBytes is the longest Notice.
	MaxNoticeBytes = 512
	// MaxNotices is the most Notices on one stream.
	MaxNotices = 256
)

// Notice tells a node what became of a video of its catalogue. Exactly one
// field is set.
type Notice struct {
	// Receipt says that the sender has the whole video. The sender is its
	// holder.
	Receipt *SignedReceipt
	// Transcript is a video whose transcript the sender has.
	Transcript cid.Cid
}

// encodeNotice returns the notice's message. Only what a server may accept is
// encoded.
func encodeNotice(n Notice) (*wire.Notice, error) {
	if (n.Receipt != nil) == n.Transcript.Defined() {
		return nil, errors.New("it has neither or both of a receipt and a transcript")
	}
	if n.Receipt == nil {
		video := n.Transcript.Bytes()
		if _, err := manifest.ParseVideoCIDBytes(video); err != nil {
			return nil, err
		}
		return &wire.Notice{Kind: &wire.Notice_Transcript{Transcript: video}}, nil
	}
	receipt, err := n.Receipt.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return &wire.Notice{Kind: &wire.Notice_Receipt{Receipt: receipt}}, nil
}

// decodeNotice reads a notice that peer from has sent. A receipt in it was
// signed by that peer.
func decodeNotice(m *wire.Notice, from peer.ID) (Notice, error) {
	switch kind := m.Kind.(type) {
	case *wire.Notice_Transcript:
		video, err := manifest.ParseVideoCIDBytes(kind.Transcript)
		return Notice{Transcript: video}, err
	case *wire.Notice_Receipt:
		r, err := ParseSignedReceipt(kind.Receipt)
		if err != nil {
			return Notice{}, err
		}
		if r.Holder != from {
			return Notice{}, fmt.Errorf("receipt of %s", r.Holder)
		}
		if err := r.Verify(); err != nil {
			return Notice{}, err
		}
		return Notice{Receipt: &r}, nil
	}
	return Notice{}, errors.New("notice of a kind that is not known here")
}
