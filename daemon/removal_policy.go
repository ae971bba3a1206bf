package daemon

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
)

const (
	// maxRemoveAfter bounds how many holders may be asked for.
	maxRemoveAfter = 64
	// maxRemoveHolders bounds how many may be named.
	maxRemoveHolders = 64
)

// removalPolicy says when a file of a watched folder is deleted: never, unless
// After is set.
type removalPolicy struct {
	After   int      `json:"after,omitempty"`   // how many other peers must hold it
	Holders []string `json:"holders,omitempty"` // IDs of the only ones that count; none: all that are trusted
}

// counts tells whether a peer is one that the policy asks for.
func (p removalPolicy) counts(id peer.ID) bool {
	return len(p.Holders) == 0 || slices.Contains(p.Holders, id.String())
}

// changed is the policy with what a request changes in it.
func (n *Node) changedPolicy(p removalPolicy, req api.AddWatchRequest) (removalPolicy, error) {
	if req.RemoveAfter != nil {
		p.After = *req.RemoveAfter
	}
	if p.After < 0 || p.After > maxRemoveAfter {
		return p, api.Errorf(api.CodeUsage, "files cannot be removed after %d receipts, only after 1 to %d", p.After, maxRemoveAfter)
	}
	if p.After == 0 && len(req.RemoveHolders) > 0 {
		return p, api.Errorf(api.CodeUsage, "holders are named, but nothing is to be removed; say after how many receipts: --remove-after N")
	}
	if p.After == 0 {
		return removalPolicy{}, nil
	}
	if len(req.RemoveHolders) > maxRemoveHolders {
		return p, api.Errorf(api.CodeUsage, "%d holders are named, at most %d can be", len(req.RemoveHolders), maxRemoveHolders)
	}
	if len(req.RemoveHolders) > 0 {
		p.Holders = nil
	}
	for _, ref := range req.RemoveHolders {
		known, err := n.followable(ref)
		if err != nil {
			return p, err
		}
		if id := known.ID.String(); !slices.Contains(p.Holders, id) {
			p.Holders = append(p.Holders, id)
		}
	}
	if len(p.Holders) > 0 && p.After > len(p.Holders) {
		return p, api.Errorf(api.CodeUsage, "nothing would ever be removed: receipts of %d holders are asked for, and %d are named", p.After, len(p.Holders))
	}
	return p, nil
}

// listedHolders are the named holders for the user.
func (n *Node) listedHolders(p removalPolicy) []api.RemovalHolder {
	var out []api.RemovalHolder
	for _, id := range p.Holders {
		known, _ := n.trust.find(id)
		out = append(out, api.RemovalHolder{PeerID: id, Name: known.Name})
	}
	return out
}
