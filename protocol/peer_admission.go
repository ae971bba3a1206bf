package protocol

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
)

// PeerAuthorizer decides who is trusted as a whole.
type PeerAuthorizer interface {
	// AuthorizePeer returns nil if p is trusted. It is called before anything
	// that p says is looked at.
	AuthorizePeer(p peer.ID) error
}

// admitPeer asks whether the peer is trusted, whatever it wants, and counts
// the stream as served.
func (in *incoming) admitPeer() error {
	if err := in.server.access.whole(in); err != nil {
		return err
	}
	return in.count()
}

// occupy also takes one of the places of a, which is given back when the
// stream ends. The stream has been admitted.
func (in *incoming) occupy(a *admission) error {
	if !a.take(in.peer) {
		return fmt.Errorf("%w: too many streams of %s", ErrBusy, in.stream.Protocol())
	}
	give := in.give
	in.give = func() { a.give(in.peer); give() }
	return nil
}
