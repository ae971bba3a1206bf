package protocol

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// NoticeError says that the peer has read one notice and will not take it.
type NoticeError struct {
	Index int   // of the notice, among those that were sent
	Err   error // fs.ErrNotExist if the peer does not know the video, or another
}

func (e *NoticeError) Error() string { return fmt.Sprintf("notice %d: %v", e.Index, e.Err) }

// Unwrap returns Err.
func (e *NoticeError) Unwrap() error { return e.Err }

// SendNotices sends notices to peer p, which must trust this node, and returns
// nil once the peer has stored all of them durably.
//
// If the peer does not take some, the error joins a *NoticeError for each, and
// the others are stored. Any other error leaves it open which are: send them
// again. It is ctx's, or wraps ErrRefused, ErrBusy, ErrProtocol or what the
// network said.
func SendNotices(ctx context.Context, h host.Host, p peer.ID, notices []Notice, cfg ClientConfig) error {
	var declined []error
	first := 0
	for call := range slices.Chunk(notices, MaxNotices) {
		answers, err := sendNotices(ctx, h, p, call, cfg.withDefaults())
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("send notices to %s: %w", p, err)
		}
		for i, err := range answers {
			if err != nil {
				declined = append(declined, fmt.Errorf("%s: %w", p, &NoticeError{Index: first + i, Err: err}))
			}
		}
		first += len(call)
	}
	return errors.Join(declined...)
}

// sendNotices makes one call and returns what the peer said to each notice.
func sendNotices(ctx context.Context, h host.Host, p peer.ID, notices []Notice, cfg ClientConfig) (answers []error, err error) {
	var call []byte
	for i, n := range notices {
		msg, err := encodeNotice(n)
		if err != nil {
			return nil, fmt.Errorf("notice %d: %w", i, err)
		}
		call = appendMessage(call, msg)
	}
	f, err := openStream(ctx, h, p, NoticeID, controlBytes+MaxNotices*MaxNoticeBytes, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { f.end(err) }()
	sent := f.writeFull(call)
	if sent == nil {
		sent = f.stream.CloseWrite()
	}
	answers = make([]error, len(notices))
	for i := range answers {
		answers[i], err = f.readNoticeAnswer()
		if told := errors.Is(err, ErrRefused) || errors.Is(err, ErrBusy); err != nil && sent != nil && !told {
			return nil, sent
		} else if err != nil {
			return nil, err // what the peer said counts, though it read no further
		}
	}
	return answers, nil
}

// readNoticeAnswer returns what the peer said to one notice. err is an end of
// the stream, or an answer after which there will be no more.
func (f *framing) readNoticeAnswer() (answer, err error) {
	var msg wire.NoticeAnswer
	if err := f.read(&msg, MaxAnswerBytes); err != nil {
		return nil, cutShort(err)
	}
	answer = errorOf(msg.Status)
	if errors.Is(answer, ErrProtocol) || errors.Is(answer, ErrRefused) || errors.Is(answer, ErrBusy) {
		return nil, answer
	}
	return answer, nil
}
