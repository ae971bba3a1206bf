package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

const (
	// maxAsked bounds how many holders are asked for one video at a time.
	maxAsked = 32
	// askPatience is how long holders have to answer whether they hold a video.
	askPatience = 20 * time.Second
)

// countedHolders are the peers whose receipts count for a removal: valid, for
// exactly this video and size, of peers that are trusted now, not banned, and
// not this node. However many receipts a peer has sent, it is listed once.
func (n *Node) countedHolders(video cid.Cid, size int64, policy removalPolicy) (map[peer.ID]time.Time, error) {
	receipts, err := n.receiptsOf(video, size)
	holders := map[peer.ID]time.Time{}
	for _, r := range receipts {
		if policy.counts(r.Holder) && n.vouches(r.Holder) {
			holders[r.Holder] = r.At
		}
	}
	return holders, err
}

// vouches tells whether the word of a peer counts at this moment.
func (n *Node) vouches(id peer.ID) bool {
	_, banned := n.bans.of(id, time.Now())
	return id != n.self && n.trust.has(id) && !banned
}

// askHolders asks those holders that are connected whether they hold the video
// whole at this moment, and returns the first that say so, at most want of them.
func (n *Node) askHolders(ctx context.Context, net *network, m *manifest.Manifest, holders map[peer.ID]time.Time, want int) map[peer.ID]time.Time {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	var mu sync.Mutex
	sure := map[peer.ID]time.Time{}
	var wg sync.WaitGroup
	answers := make(chan struct{}, maxAsked)
	asked := 0
	for id, at := range holders {
		if !net.connected(id) || asked == maxAsked {
			continue
		}
		asked++
		wg.Go(func() {
			defer func() { answers <- struct{}{} }()
			have, err := protocol.AskHoldings(ctx, net.host, id, m, nil, net.client())
			if err != nil || !have.Complete() {
				n.log.Debug("holder does not hold the video now", "peer", id, "video", m.CID(), "reason", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if len(sure) < want {
				sure[id] = at
			}
		})
	}
	for range asked {
		<-answers
		mu.Lock()
		enough := len(sure) == want
		mu.Unlock()
		if enough {
			break
		}
	}
	cancel()
	wg.Wait()
	return sure
}

// connectedHolders counts those that could be asked now.
func connectedHolders(net *network, holders map[peer.ID]time.Time) int {
	connected := 0
	for id := range holders {
		if net.connected(id) {
			connected++
		}
	}
	return connected
}

// listedSure are holders for the user and the record.
func (n *Node) listedSure(sure map[peer.ID]time.Time) []api.RemovalHolder {
	out := []api.RemovalHolder{}
	for id, at := range sure {
		known, _ := n.trust.find(id.String())
		out = append(out, api.RemovalHolder{PeerID: id.String(), Name: known.Name, Receipt: &at})
	}
	return out
}
