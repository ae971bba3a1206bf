package daemon

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/protocol"
)

// receiptsOf are the receipts for a video that other peers have signed. Those
// that are not valid, or not for a video of that size, are left out.
func (n *Node) receiptsOf(video cid.Cid, size int64) ([]protocol.SignedReceipt, error) {
	var receipts []protocol.SignedReceipt
	for s, err := range n.store.States(stateReceipt, video.String()+"/") {
		if err != nil {
			return nil, err
		}
		r, err := protocol.ParseSignedReceipt(s.Value)
		if err == nil {
			err = r.Verify()
		}
		if err != nil {
			n.log.Warn("stored receipt is not valid", "key", s.Key, "error", err)
			continue
		}
		if r.Video == video && r.Size == size && r.Holder != n.self {
			receipts = append(receipts, r)
		}
	}
	slices.SortFunc(receipts, func(a, b protocol.SignedReceipt) int { return a.At.Compare(b.At) })
	return receipts, nil
}

// safeHolders are the other peers that hold a video: they are trusted and have
// signed, once they had read every byte, that they have it whole.
func (n *Node) safeHolders(video blockstore.Video) ([]peer.ID, error) {
	receipts, err := n.receiptsOf(video.CID, video.Size)
	var holders []peer.ID
	for _, r := range receipts {
		if n.trust.has(r.Holder) {
			holders = append(holders, r.Holder)
		}
	}
	return holders, err
}

// Receipts lists who holds a video whole.
func (n *Node) Receipts(_ context.Context, ref string) (api.Receipts, error) {
	video, err := n.resolve(ref)
	if err != nil {
		return api.Receipts{}, err
	}
	v, err := n.store.Video(video)
	if errors.Is(err, fs.ErrNotExist) {
		return api.Receipts{}, api.Errorf(api.CodeNotFound, "video %s is not here: receipts are kept for videos of this node", video)
	}
	if err != nil {
		return api.Receipts{}, err
	}
	receipts, err := n.receiptsOf(video, v.Size)
	if err != nil {
		return api.Receipts{}, err
	}
	safe, err := n.safeHolders(v)
	if err != nil {
		return api.Receipts{}, err
	}
	removed, err := n.removalOf(video)
	if err != nil {
		return api.Receipts{}, err
	}
	out := api.Receipts{CID: video.String(), Name: v.Name, Size: v.Size, Safe: len(safe), Receipts: []api.Receipt{}}
	if n.isRemoved(video) {
		out.Removed = removed
	}
	for _, r := range receipts {
		listed, err := n.listedReceipt(r)
		if err != nil {
			return api.Receipts{}, err
		}
		out.Receipts = append(out.Receipts, listed)
	}
	return out, nil
}

// listedReceipt is a receipt with what a third party needs to verify it.
func (n *Node) listedReceipt(r protocol.SignedReceipt) (api.Receipt, error) {
	data, err := r.MarshalJSON()
	var out api.Receipt
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil || out.Signature != hex.EncodeToString(r.Signature) {
		return out, fmt.Errorf("receipt of %s for %s: %w", r.Holder, r.Video, err)
	}
	if p, ok := n.trust.find(r.Holder.String()); ok {
		out.Name, out.Trusted = p.Name, true
	}
	return out, nil
}

// forgetOwnReceipt takes back what this node has signed for a video that it gives
// up. Peers that have the receipt are not told.
func (n *Node) forgetOwnReceipt(video cid.Cid) error {
	return n.store.Apply(
		blockstore.ForgetState(stateReceipt, receiptKey(video, n.self)),
		blockstore.ForgetState(stateAttest, video.String()))
}
