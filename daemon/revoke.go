package daemon

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/api"
)

// maxRevoked bounds the revocations that are remembered. None is dropped to
// make room for another: it would let a ticket in again.
const maxRevoked = 2000

var errRevoked = errors.New("ticket was revoked")

// revocation takes back one ticket, or all of a video that were signed up to a
// moment.
type revocation struct {
	Video    string    `json:"cid"`
	ID       string    `json:"id,omitempty"`   // of the ticket; empty: all up to Upto
	Upto     int64     `json:"upto,omitempty"` // milliseconds since 1970
	Obsolete time.Time `json:"obsolete"`       // when what it takes back has expired anyway
}

func (r revocation) covers(c capability) bool {
	if r.Video != c.Video.String() {
		return false
	}
	if r.ID != "" {
		return r.ID == hex.EncodeToString(c.ID[:])
	}
	return c.Issued <= r.Upto
}

// revokedList is the tickets of this node that count no more. It is a file of
// its own, beside the trust list.
type revokedList struct {
	path string

	mu  sync.Mutex
	all []revocation
}

// openRevokedList reads the list. One that is damaged is an error: without it,
// tickets that were taken back would count again.
func openRevokedList(path string) (*revokedList, error) {
	l := &revokedList{path: path}
	data, err := readSmallFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &l.all)
	}
	if err != nil {
		return nil, fmt.Errorf("list of revoked tickets %s: %w; restore it, or delete it and revoke again", path, err)
	}
	return l, nil
}

// check returns errRevoked for a ticket that was taken back.
func (l *revokedList) check(c capability) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.all, func(r revocation) bool { return r.covers(c) }) {
		return errRevoked
	}
	return nil
}

// issue is the moment to sign a new ticket for a video at: now, but after all
// that was revoked, even if the clock was set back.
func (l *revokedList) issue(video cid.Cid, now time.Time) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := now.UnixMilli()
	for _, r := range l.all {
		if r.Video == video.String() && r.ID == "" {
			at = max(at, r.Upto+1)
		}
	}
	return at
}

// add remembers a revocation. Those that are obsolete, or that it covers, go.
func (l *revokedList) add(r revocation, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(l.all), func(old revocation) bool {
		return !now.Before(old.Obsolete) || old.Video == r.Video && old.ID == r.ID
	})
	if len(all) >= maxRevoked {
		return fmt.Errorf("%d revocations are remembered, no more fit; revoke all tickets of a video instead of single ones", maxRevoked)
	}
	all = append(all, r)
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := writeSmallFile(l.path, data); err != nil {
		return fmt.Errorf("write list of revoked tickets: %w", err)
	}
	l.all = all
	return nil
}

// Revoke takes tickets of this node back: the one that ref is, or all that were
// signed so far for the video that it names. Streams that live by them end.
func (n *Node) Revoke(_ context.Context, ref string) (api.Revoked, error) {
	r, out, err := n.revocation(ref, time.Now())
	if err != nil {
		return out, err
	}
	if err := n.revoked.add(r, time.Now()); err != nil {
		return out, err
	}
	n.log.Info("tickets revoked", "video", r.Video, "ticket", r.ID)
	n.reauthorize()
	return out, nil
}

func (n *Node) revocation(ref string, now time.Time) (revocation, api.Revoked, error) {
	video, err := n.resolve(ref)
	if err != nil {
		return revocation{}, api.Revoked{}, err
	}
	out := api.Revoked{CID: video.String(), All: !isTicket(ref)}
	if out.All {
		// As long as the longest ticket may last: who signed when is not known.
		return revocation{Video: out.CID, Upto: now.UnixMilli(), Obsolete: now.Add(maxExpiry).UTC()}, out, nil
	}
	inv, err := parseTicket(ref)
	if err != nil {
		return revocation{}, out, api.Errorf(api.CodeUsage, "%w", err)
	}
	if inv.Signer != n.self {
		return revocation{}, out, api.Errorf(api.CodeRefused, "the ticket is signed by %s, and only that node can revoke it", inv.Signer)
	}
	return revocation{Video: out.CID, ID: hex.EncodeToString(inv.ID[:]), Obsolete: inv.Expires.UTC()}, out, nil
}

// reauthorize ends the streams of peers that would not be served any more.
func (n *Node) reauthorize() {
	if net := n.onlineNow(); net != nil {
		net.server.Reauthorize()
	}
}

// honoured returns why a capability of this node's own counts no more; nil if
// it does, or is another's.
func (n *Node) honoured(c capability) error {
	if c.Signer != n.self {
		return nil
	}
	return n.revoked.check(c)
}
