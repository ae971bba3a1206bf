package protocol

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Authorizer decides who is served.
type Authorizer interface {
	// Authorize returns nil if p may fetch the video, given the capability
	// that came with its request (at most MaxCapabilityBytes, maybe none).
	// Any error means no. It is called before anything else is looked at and
	// must not depend on whether this node has the video. At the moment until,
	// the stream is reset; zero means that the permission has no end.
	Authorize(p peer.ID, video cid.Cid, capability []byte) (until time.Time, err error)
}

var errEnded = fmt.Errorf("%w: the permission has ended", ErrRefused)

// authorisation asks for each request whether it is allowed, and remembers for
// each stream what was last asked, to ask again.
type authorisation struct {
	authorizer Authorizer     // nil refuses everyone
	peers      PeerAuthorizer // nil trusts nobody

	mu      sync.Mutex
	streams map[*incoming]*permission
}

// permission is what a stream was let in by.
type permission struct {
	claim
	expiry *time.Timer // ends the stream; nil if nothing does
}

// claim is what is asked about: one video, or, where video is undefined, the
// peer as a whole.
type claim struct {
	peer       peer.ID
	video      cid.Cid
	capability string
}

func newAuthorisation(a Authorizer, p PeerAuthorizer) *authorisation {
	return &authorisation{authorizer: a, peers: p, streams: make(map[*incoming]*permission)}
}

// request asks for a request on a stream. The stream is noted before that, so
// that recheck misses none that was asked for before it.
func (a *authorisation) request(in *incoming, video cid.Cid, capability []byte) error {
	c := claim{in.peer, video, string(capability)}
	a.note(in, c)
	until, err := a.ask(c)
	if err != nil {
		return err
	}
	a.expire(in, c, until)
	return nil
}

// whole asks whether the peer of a stream is trusted, and notes the stream as
// request does.
func (a *authorisation) whole(in *incoming) error {
	c := claim{peer: in.peer}
	a.note(in, c)
	_, err := a.ask(c)
	return err
}

func (a *authorisation) ask(c claim) (until time.Time, err error) {
	if !c.video.Defined() {
		return time.Time{}, a.askPeer(c.peer)
	}
	if a.authorizer == nil {
		return time.Time{}, fmt.Errorf("%w: nobody is authorised", ErrRefused)
	}
	until, err = a.authorizer.Authorize(c.peer, c.video, []byte(c.capability))
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %v", ErrRefused, err)
	}
	return until, nil
}

func (a *authorisation) askPeer(p peer.ID) error {
	if a.peers == nil {
		return fmt.Errorf("%w: nobody is trusted", ErrRefused)
	}
	if err := a.peers.AuthorizePeer(p); err != nil {
		return fmt.Errorf("%w: %v", ErrRefused, err)
	}
	return nil
}

func (a *authorisation) note(in *incoming, c claim) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.streams[in]
	if p == nil {
		p = new(permission)
		a.streams[in] = p
	}
	p.claim = c
}

// expire ends the stream at the moment until, if it still is there for that
// claim.
func (a *authorisation) expire(in *incoming, c claim, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.streams[in]
	if p == nil || p.claim != c {
		return
	}
	p.stop()
	if !until.IsZero() {
		p.expiry = time.AfterFunc(time.Until(until), func() { in.cancel(errEnded) })
	}
}

func (p *permission) stop() {
	if p.expiry != nil {
		p.expiry.Stop()
		p.expiry = nil
	}
}

// forget drops a stream that has ended.
func (a *authorisation) forget(in *incoming) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.streams[in]; p != nil {
		p.stop()
		delete(a.streams, in)
	}
}

// claims are those of all streams.
func (a *authorisation) claims() map[*incoming]claim {
	a.mu.Lock()
	defer a.mu.Unlock()
	claims := make(map[*incoming]claim, len(a.streams))
	for in, p := range a.streams {
		claims[in] = p.claim
	}
	return claims
}

// recheck asks again for every stream, once for each claim, and ends those that
// are refused now.
func (a *authorisation) recheck() {
	type answer struct {
		until time.Time
		err   error
	}
	claims, answers := a.claims(), make(map[claim]answer)
	for c := range maps.Values(claims) {
		if _, asked := answers[c]; !asked {
			until, err := a.ask(c)
			answers[c] = answer{until, err}
		}
	}
	for in, c := range claims {
		if got := answers[c]; got.err != nil {
			in.cancel(errors.Join(errEnded, got.err))
		} else {
			a.expire(in, c, got.until)
		}
	}
}
