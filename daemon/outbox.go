package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/protocol"
)

// stateNotice is the kind of state that is a notice which a peer has not
// acknowledged yet. Its key is PEER/receipt/CID or PEER/transcript/CID.
const stateNotice = "notice"

const (
	noticeReceipt    = "receipt"
	noticeTranscript = "transcript"

	noticeCheck   = 2 * time.Second // whether a peer with notices has connected
	noticeTimeout = time.Minute     // of sending some to one peer
	noticeSenders = 8               // peers at a time

	noticeRetryFirst = 5 * time.Second
	noticeRetryLast  = 5 * time.Minute
)

func noticeKey(to, kind string, video cid.Cid) string {
	return to + "/" + kind + "/" + video.String()
}

func storeNotice(to, kind string, video cid.Cid) blockstore.Change {
	return blockstore.StoreState(stateNotice, noticeKey(to, kind, video), nil)
}

// outbox remembers which peers did not take notices lately.
type outbox struct {
	due chan struct{} // holds one: there are new notices

	mu    sync.Mutex
	pause map[peer.ID]time.Duration
	next  map[peer.ID]time.Time
}

func newOutbox() *outbox {
	return &outbox{due: make(chan struct{}, 1), pause: map[peer.ID]time.Duration{}, next: map[peer.ID]time.Time{}}
}

// settle notes how an attempt went.
func (o *outbox) settle(to peer.ID, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		delete(o.pause, to)
		delete(o.next, to)
		return
	}
	o.pause[to] = min(max(2*o.pause[to], noticeRetryFirst), noticeRetryLast)
	o.next[to] = time.Now().Add(jitter(o.pause[to]))
}

// retryLost lets peers that are not connected be tried at once when they are back.
func (o *outbox) retryLost(connected func(peer.ID) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id := range o.next {
		if !connected(id) {
			delete(o.pause, id)
			delete(o.next, id)
		}
	}
}

func (o *outbox) ready(to peer.ID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.next[to].After(time.Now())
}

// sendNotices sends what is in the outbox to peers as they connect, until ctx
// ends.
func (n *Node) sendNotices(ctx context.Context, net *network) error {
	tick := time.NewTicker(noticeCheck)
	defer tick.Stop()
	for {
		var g errgroup.Group
		g.SetLimit(noticeSenders)
		n.outbox.retryLost(net.connected)
		for _, to := range net.host.Network().Peers() {
			if !net.connected(to) || !n.trust.has(to) || !n.outbox.ready(to) {
				continue
			}
			g.Go(func() error {
				err := n.sendTo(ctx, net, to)
				n.outbox.settle(to, err)
				if err != nil && ctx.Err() == nil {
					n.log.Info("notices are not sent yet", "peer", to, "reason", err)
				}
				return nil
			})
		}
		_ = g.Wait() // no error comes out of it
		select {
		case <-n.outbox.due:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sendTo sends the first notices of a peer, and forgets those that it has taken
// or does not want. A peer that takes all is asked for more at once.
func (n *Node) sendTo(ctx context.Context, net *network, to peer.ID) error {
	notices, sent, err := n.noticesFor(to)
	if err != nil || len(sent) == 0 {
		return err
	}
	if len(notices) > 0 {
		ctx, cancel := context.WithTimeout(ctx, noticeTimeout)
		defer cancel()
		err = protocol.SendNotices(ctx, net.host, to, notices, net.client())
	}
	if _, declined := errors.AsType[*protocol.NoticeError](err); declined {
		n.log.Debug("peer does not take notices", "peer", to, "reason", err)
		err = nil
	}
	if err != nil {
		return err
	}
	if len(sent) == protocol.MaxNotices {
		notify(n.outbox.due)
	}
	return n.store.Apply(sent...)
}

// noticesFor are the first notices for a peer, and the changes to make once it
// has them. A receipt that was taken back meanwhile is dropped unsent.
func (n *Node) noticesFor(to peer.ID) (notices []protocol.Notice, sent []blockstore.Change, err error) {
	for s, err := range n.store.States(stateNotice, to.String()+"/") {
		if err != nil {
			return nil, nil, err
		}
		notice, err := n.noticeOf(s.Key)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		if err == nil {
			notices = append(notices, notice)
		}
		sent = append(sent, blockstore.ForgetState(stateNotice, s.Key))
		if len(sent) == protocol.MaxNotices {
			break
		}
	}
	return notices, sent, nil
}

func (n *Node) noticeOf(key string) (protocol.Notice, error) {
	parts := strings.Split(key, "/")
	if len(parts) != 3 {
		return protocol.Notice{}, fmt.Errorf("notice %q", key)
	}
	video, err := cid.Decode(parts[2])
	if err != nil {
		return protocol.Notice{}, fmt.Errorf("notice %q: %w", key, err)
	}
	if parts[1] == noticeTranscript {
		return protocol.Notice{Transcript: video}, nil
	}
	r, err := n.storedReceipt(video, n.self)
	return protocol.Notice{Receipt: &r}, err
}
