package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/protocol"
)

const (
	invitePrefix  = "vidsyncinvite1" // and the version of what follows
	inviteVersion = 1
	inviteSecret  = 16 // bytes
	maxInvites    = 64 // that are open at once
	maxInviteText = 4096

	inviteExpiry    = 24 * time.Hour
	maxInviteExpiry = 90 * 24 * time.Hour
	joinTimeout     = 30 * time.Second
	pairAgain       = 1100 * time.Millisecond
)

// invite is the wire form of an invite, before base32. Whoever redeems the
// secret at the inviter trusts it and is trusted by it.
type invite struct {
	_       struct{} `cbor:",toarray"`
	Version int
	Peer    []byte
	Secret  []byte
	Expires int64    // seconds since 1970
	Addrs   [][]byte // multiaddrs of the inviter
}

// parsedInvite is an invite whose parts have been checked.
type parsedInvite struct {
	info    peer.AddrInfo
	secret  []byte
	expires time.Time
}

func parseInvite(text string) (parsedInvite, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	body, ok := strings.CutPrefix(text, invitePrefix)
	if !ok || len(text) > maxInviteText {
		return parsedInvite{}, errors.New("not an invite: it begins with " + invitePrefix)
	}
	data, err := ticketEncoding.DecodeString(strings.ToUpper(body))
	if err != nil {
		return parsedInvite{}, fmt.Errorf("invite is cut or mistyped: %w", err)
	}
	var i invite
	if err := protocol.DecodeCanonical(data, &i); err != nil {
		return parsedInvite{}, fmt.Errorf("invite is cut or mistyped: %w", err)
	}
	id, err := peer.IDFromBytes(i.Peer)
	if err != nil || i.Version != inviteVersion || len(i.Secret) != inviteSecret || len(i.Addrs) > maxTicketAddr {
		return parsedInvite{}, errors.New("invite is damaged, or of a newer version of vidsync")
	}
	parsed := parsedInvite{info: peer.AddrInfo{ID: id}, secret: i.Secret, expires: time.Unix(i.Expires, 0)}
	for _, b := range i.Addrs {
		a, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return parsedInvite{}, fmt.Errorf("invite: address: %w", err)
		}
		parsed.info.Addrs = append(parsed.info.Addrs, a)
	}
	return parsed, nil
}

func (i parsedInvite) text() (string, error) {
	wire := invite{Version: inviteVersion, Peer: []byte(i.info.ID), Secret: i.secret, Expires: i.expires.Unix()}
	for _, a := range i.info.Addrs {
		wire.Addrs = append(wire.Addrs, a.Bytes())
	}
	data, err := cbor.Marshal(wire)
	if err != nil {
		return "", fmt.Errorf("make invite: %w", err)
	}
	return invitePrefix + strings.ToLower(ticketEncoding.EncodeToString(data)), nil
}

// openInvite is what the inviter remembers of an invite: not the secret itself.
type openInvite struct {
	Hash    []byte    `json:"sha256"` // of the secret
	Expires time.Time `json:"expires"`
	// UsedBy has redeemed it. That peer may try again, in case it missed the
	// answer; nobody else may.
	UsedBy string `json:"used_by,omitempty"`
	// Follow has whoever redeems it followed, into that folder if there is one.
	Follow bool   `json:"follow,omitempty"`
	Into   string `json:"into,omitempty"`
}

// inviteList is the invites that have not expired, in a file of its own.
type inviteList struct {
	path string

	mu      sync.Mutex
	invites []openInvite // oldest first
}

func openInviteList(path string) (*inviteList, error) {
	l := &inviteList{path: path}
	data, err := readSmallFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &l.invites)
	}
	if err != nil {
		return nil, fmt.Errorf("list of invites %s: %w; remove it, and invites that are not used yet count no more", path, err)
	}
	return l, nil
}

// add remembers an invite, and the hash of its secret, until it expires.
func (l *inviteList) add(secret []byte, open openInvite, now time.Time) error {
	hash := sha256.Sum256(secret)
	open.Hash = hash[:]
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := slices.DeleteFunc(slices.Clone(l.invites), func(i openInvite) bool { return now.After(i.Expires) })
	if len(kept) >= maxInvites {
		return api.Errorf(api.CodeUnavailable, "%d invites are open already; wait until one is used or expires", maxInvites)
	}
	return l.save(append(kept, open))
}

// redeem marks the invite with that secret as used by a peer, and returns it. Who
// fails learns nothing of why.
func (l *inviteList) redeem(secret []byte, by peer.ID, now time.Time) (openInvite, error) {
	hash := sha256.Sum256(secret)
	l.mu.Lock()
	defer l.mu.Unlock()
	at := -1
	for i, open := range l.invites { // all of them, so that the time says nothing
		if subtle.ConstantTimeCompare(open.Hash, hash[:]) == 1 {
			at = i
		}
	}
	switch {
	case at < 0 || now.After(l.invites[at].Expires):
		return openInvite{}, errors.New("no such invite")
	case l.invites[at].UsedBy == by.String():
		return l.invites[at], nil
	case l.invites[at].UsedBy != "":
		return openInvite{}, errors.New("invite was used by another peer")
	}
	used := slices.Clone(l.invites)
	used[at].UsedBy = by.String()
	return used[at], l.save(used)
}

// save writes the list and, once it is on disk, takes it over. The caller
// holds mu.
func (l *inviteList) save(invites []openInvite) error {
	data, err := json.MarshalIndent(invites, "", "  ")
	if err == nil {
		err = writeSmallFile(l.path, data)
	}
	if err != nil {
		return fmt.Errorf("write list of invites: %w", err)
	}
	l.invites = invites
	return nil
}

// Invite makes an invite to trust this node and be trusted by it.
func (n *Node) Invite(ctx context.Context, req api.InviteRequest) (api.Invite, error) {
	expires := req.Expires
	if expires == 0 {
		expires = inviteExpiry
	}
	if expires < 0 || expires > maxInviteExpiry {
		return api.Invite{}, api.Errorf(api.CodeUsage, "an invite expires after up to %v, not after %v", maxInviteExpiry, expires)
	}
	if req.Into != "" && !filepath.IsAbs(req.Into) {
		return api.Invite{}, api.Errorf(api.CodeUsage, "folder %q is not an absolute path", req.Into)
	}
	net, err := n.network(ctx)
	if err != nil {
		return api.Invite{}, err
	}
	secret := make([]byte, inviteSecret)
	rand.Read(secret) // never fails
	now := time.Now()
	i := parsedInvite{
		info:   peer.AddrInfo{ID: n.self, Addrs: net.shareableAddrs()},
		secret: secret, expires: now.Add(expires).Truncate(time.Second).UTC(),
	}
	text, err := i.text()
	if err != nil {
		return api.Invite{}, err
	}
	if err := n.invites.add(secret, openInvite{Expires: i.expires, Follow: req.Follow, Into: req.Into}, now); err != nil {
		return api.Invite{}, err
	}
	return api.Invite{Invite: text, PeerID: n.self.String(), Expires: i.expires}, nil
}

// Join redeems another node's invite: from then on both trust each other.
func (n *Node) Join(ctx context.Context, req api.JoinRequest) (api.Peer, error) {
	i, err := parseInvite(req.Invite)
	if err != nil {
		return api.Peer{}, api.Errorf(api.CodeUsage, "%w; ask for the whole line that `vidsync invite` printed", err)
	}
	if i.info.ID == n.self {
		return api.Peer{}, api.Errorf(api.CodeUsage, "this invite is of this node; give it to another one")
	}
	if time.Now().After(i.expires) {
		return api.Peer{}, api.Errorf(api.CodeRefused, "the invite expired on %s; ask for a new one", i.expires.Format(time.RFC1123))
	}
	net, err := n.network(ctx)
	if err != nil {
		return api.Peer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if err := net.connect(ctx, i.info); err != nil {
		return api.Peer{}, api.Errorf(api.CodeUnavailable, "node %s cannot be reached: %s; is it running, and on this network?", i.info.ID, lastLine(err))
	}
	name, err := n.pair(ctx, net, i)
	switch {
	case errors.Is(err, protocol.ErrRefused):
		return api.Peer{}, api.Errorf(api.CodeRefused, "node %s does not accept the invite: it has been used or has expired; ask for a new one", i.info.ID)
	case err != nil:
		return api.Peer{}, api.Errorf(api.CodeUnavailable, "join: %w; the same command may be given again", err)
	}
	return n.welcome(i.info, name)
}

// pair redeems an invite. A node lets each peer try once a second.
func (n *Node) pair(ctx context.Context, net *network, i parsedInvite) (name string, err error) {
	for {
		name, err = protocol.Pair(ctx, net.host, i.info.ID, i.secret, n.ownName(), net.shareableAddrs(), net.client())
		if !errors.Is(err, protocol.ErrBusy) {
			return name, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(pairAgain):
		}
	}
}

// welcome puts a peer that was paired with on the trust list, under the name
// that it goes by, unless another has it.
func (n *Node) welcome(info peer.AddrInfo, name string) (api.Peer, error) {
	p, err := n.trust.add(info, name)
	if api.CodeOf(err) == api.CodeUsage { // the name is taken
		p, err = n.trust.add(info, "")
	}
	if err != nil {
		return api.Peer{}, err
	}
	n.log.Info("peer is trusted from now on, by invite", "peer", p.ID, "name", p.Name)
	return listedPeer(p), nil
}

// Redeem makes a peer that knows the secret of an invite a trusted one. It
// implements protocol.Pairing.
func (n *Node) Redeem(from peer.ID, secret []byte, name string, addrs []ma.Multiaddr) (ownName string, err error) {
	open, err := n.invites.redeem(bytes.Clone(secret), from, time.Now())
	if err != nil {
		return "", err
	}
	if _, err := n.welcome(peer.AddrInfo{ID: from, Addrs: addrs}, name); err != nil {
		return "", err
	}
	if open.Follow {
		if _, err := n.Follow(context.Background(), api.FollowRequest{Peer: from.String(), Into: open.Into}); err != nil {
			return "", err // the peer may try again
		}
	}
	return n.ownName(), nil
}

// ownName is what this node calls itself: as its owner said, or as its machine
// is called.
func (n *Node) ownName() string {
	name := n.cfg.Name
	if name == "" {
		name, _ = os.Hostname() // without one it has no name
	}
	return name[:min(len(name), protocol.MaxPeerNameBytes)]
}
