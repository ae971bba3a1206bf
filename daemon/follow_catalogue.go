package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/protocol"
)

const (
	followRetryFirst = time.Second
	followRetryLast  = time.Minute
	contactPoll      = 200 * time.Millisecond
)

// errNotTrusted is why a followed peer is not asked.
var errNotTrusted = errors.New("the peer is not trusted any more; trust it again with `vidsync peer add`, or end this with `vidsync unfollow`")

// runFollows follows the catalogues of the followed peers until ctx ends.
func (n *Node) runFollows(ctx context.Context, net *network) error {
	type runner struct {
		made time.Time
		stop context.CancelFunc
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	running := map[peer.ID]runner{}
	for {
		records, err := n.follows.all()
		if err != nil {
			return err
		}
		for id, r := range running {
			if now, ok := records[id]; !ok || !now.Made.Equal(r.made) {
				r.stop()
				delete(running, id)
			}
		}
		for id, r := range records {
			if _, ok := running[id]; ok {
				continue
			}
			one, stop := context.WithCancel(ctx)
			running[id] = runner{made: r.Made, stop: stop}
			f := &follower{node: n, net: net, peer: id, made: r.Made}
			wg.Go(func() { f.run(one) })
		}
		select {
		case <-n.follows.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follower follows the catalogue of one peer, as one record says.
type follower struct {
	node *Node
	net  *network
	peer peer.ID
	made time.Time
}

// run follows until ctx ends or the record is not the peer's any more, with
// growing pauses when the peer is lost.
func (f *follower) run(ctx context.Context) {
	pause := followRetryFirst
	met := false // the peer was connected when the last attempt ended
	for ctx.Err() == nil {
		started := time.Now()
		err := f.follow(ctx, met)
		if ctx.Err() != nil || errors.Is(err, errFollowChanged) {
			return
		}
		f.node.follows.tell(f.peer, err)
		f.node.log.Debug("catalogue is not followed", "peer", f.peer, "reason", err)
		if time.Since(started) > followRetryLast {
			pause = followRetryFirst // it went well for a while
		}
		met = f.net.connected(f.peer)
		if f.net.awaitContact(ctx, f.peer, jitter(pause)) {
			pause = followRetryFirst
			continue
		}
		pause = min(2*pause, followRetryLast)
	}
}

// follow connects to the peer, if need be, and follows until it is lost. Fetches
// that paused as long as the peer was away go on at once.
func (f *follower) follow(ctx context.Context, met bool) error {
	n := f.node
	if !n.trust.has(f.peer) {
		return errNotTrusted
	}
	record, err := n.follows.get(f.peer)
	if err != nil {
		return err
	}
	if !f.net.connected(f.peer) {
		if err := f.net.connect(ctx, f.net.located(peer.AddrInfo{ID: f.peer}, n.trust)); err != nil {
			return fmt.Errorf("%w: %s", errUnreachable, lastLine(err))
		}
	}
	if !met {
		n.jobs.hurryFollows(f.peer.String())
	}
	n.follows.tell(f.peer, nil)
	return protocol.FollowCatalogue(ctx, f.net.host, f.peer, record.cursor(), f.take, f.net.client())
}

// take stores what the entries that are wanted lead to, in steps that the index
// can make.
func (f *follower) take(entries []protocol.Entry, next protocol.Cursor) error {
	n := f.node
	if !n.trust.has(f.peer) {
		return errNotTrusted
	}
	record, err := n.follows.get(f.peer)
	if err != nil {
		return err
	}
	var changes []blockstore.Change
	size, wanted := 0, false
	for _, e := range entries {
		if !record.wants(e) {
			more, err := n.follows.unwantedChanges(f.peer.String(), e)
			if err != nil {
				return err
			}
			changes, wanted = append(changes, more...), wanted || len(more) > 0
			continue
		}
		spec := record.specOf(f.peer.String(), e, n.cfg.NoTranscribe)
		more, bytes, err := entryChanges(spec, e)
		if err != nil {
			return err
		}
		changes = append(changes, more...)
		size, wanted = size+bytes, true
		if len(changes) < maxFollowChanges && size < maxFollowBytes {
			continue
		}
		if err := n.follows.advance(f.peer, f.made, protocol.Cursor{Log: next.Log, Seq: e.Seq}, changes); err != nil {
			return err
		}
		changes, size = nil, 0
	}
	err = n.follows.advance(f.peer, f.made, next, changes)
	if wanted {
		notify(n.follows.fed)
	}
	return err
}

// located adds the addresses that are known of a peer to one that has none.
func (n *network) located(info peer.AddrInfo, trust *trustList) peer.AddrInfo {
	if len(info.Addrs) > 0 {
		return info
	}
	for _, known := range n.contacts(trust) {
		if known.ID == info.ID {
			info.Addrs = append(info.Addrs, known.Addrs...)
		}
	}
	return info
}

// awaitContact waits, but not once the peer has connected meanwhile: then it
// tells so at once.
func (n *network) awaitContact(ctx context.Context, id peer.ID, pause time.Duration) bool {
	was := n.connected(id)
	end := time.After(pause)
	tick := time.NewTicker(contactPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-end:
			return false
		case <-tick.C:
		}
		is := n.connected(id)
		if is && !was {
			return true
		}
		was = is
	}
}
