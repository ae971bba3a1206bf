package daemon

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
)

const (
	// stateRemoval is the kind of the records of removals. The key is the video's
	// CID, so the last one of each is kept.
	stateRemoval = "removal"
	// maxRemovals is how many of them are kept: the newest.
	maxRemovals = 10_000

	// videoRemoved is the state of a video whose last file here was removed as
	// others hold it.
	videoRemoved = "removed"
)

// removalOf is when and why the file of a video was removed; nil if it was not.
// A record that cannot be read counts as a removal of which nothing is known.
func (n *Node) removalOf(video cid.Cid) (*api.Removal, error) {
	value, err := n.store.State(stateRemoval, video.String())
	if known, err := found(value, err); !known || err != nil {
		return nil, err
	}
	r := &api.Removal{}
	if err := json.Unmarshal(value, r); err != nil {
		return &api.Removal{CID: video.String(), Holders: []api.RemovalHolder{}}, nil
	}
	return r, nil
}

// isRemoved tells whether the catalogue has a video as removed.
func (n *Node) isRemoved(video cid.Cid) bool {
	v, err := n.store.Video(video)
	return err == nil && v.State == videoRemoved
}

// whyRemoved says for people what became of a video's file.
func (n *Node) whyRemoved(video cid.Cid) string {
	r, err := n.removalOf(video)
	if err != nil || r == nil {
		return "was removed here, as others held it"
	}
	return fmt.Sprintf("was removed from %s on %s, as it was held by %s", r.Path, r.Time.Format("2006-01-02 15:04"), holderNames(r.Holders))
}

func holderNames(holders []api.RemovalHolder) string {
	var names []string
	for _, h := range holders {
		names = append(names, cmp.Or(h.Name, h.PeerID))
	}
	return strings.Join(names, ", ")
}

// pruneRemovals drops the oldest records beyond maxRemovals.
func (n *Node) pruneRemovals() error {
	type aged struct {
		key  string
		time int64
	}
	var all []aged
	for s, err := range n.store.States(stateRemoval, "") {
		if err != nil {
			return err
		}
		var r api.Removal
		if err := json.Unmarshal(s.Value, &r); err != nil {
			r = api.Removal{} // the oldest of all
		}
		all = append(all, aged{s.Key, r.Time.UnixNano()})
	}
	slices.SortFunc(all, func(a, b aged) int { return cmp.Compare(a.time, b.time) })
	for len(all) > maxRemovals {
		step := all[:min(len(all)-maxRemovals, blockstore.MaxChanges)]
		var changes []blockstore.Change
		for _, a := range step {
			changes = append(changes, blockstore.ForgetState(stateRemoval, a.key))
		}
		if err := n.store.Apply(changes...); err != nil {
			return err
		}
		all = all[len(step):]
	}
	return nil
}
