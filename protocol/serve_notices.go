package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// NoticeTaker keeps what peers tell about the videos of this node.
type NoticeTaker interface {
	// TakeNotice returns nil once the notice is stored durably. It is called
	// from many goroutines, only for trusted peers, and maybe again for a
	// notice that it has stored before. A receipt was signed by from.
	//
	// An error is told to the peer like those of a Library. ErrRefused and
	// ErrBusy end the stream: the peer may come again with this and all later
	// notices. After any other error it need not.
	TakeNotice(from peer.ID, n Notice) error
}

// serveNotices answers notices one after another, until the client closes its
// side.
func (in *incoming) serveNotices(context.Context) error {
	for count := 1; ; count++ {
		var msg wire.Notice
		if err := in.read(&msg, MaxNoticeBytes); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read notice: %w", err)
		}
		if count > MaxNotices {
			return fmt.Errorf("%w: more than %d notices", ErrProtocol, MaxNotices)
		}
		err := in.takeNotice(&msg)
		answer := &wire.NoticeAnswer{Status: statusOf(err)}
		if errors.Is(err, ErrRefused) || errors.Is(err, ErrBusy) {
			return in.decline(err, answer)
		}
		if err := in.write(answer); err != nil {
			return fmt.Errorf("write notice answer: %w", err)
		}
	}
}

func (in *incoming) takeNotice(msg *wire.Notice) error {
	if err := in.admitPeer(); err != nil {
		return err
	}
	taker := in.server.cfg.Notices
	if taker == nil {
		return fmt.Errorf("%w: notices are not taken", ErrRefused)
	}
	notice, err := decodeNotice(msg, in.peer)
	if err != nil {
		in.server.cfg.Logger.Debug("notice is not valid", "peer", in.peer, "error", err)
		return fmt.Errorf("%w: %v", errInvalid, err)
	}
	if err := taker.TakeNotice(in.peer, notice); err != nil {
		in.server.logInternal("cannot take notice", err, "peer", in.peer)
		return err
	}
	return nil
}
