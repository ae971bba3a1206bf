package protocol

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// Pairing redeems the invites of this node.
type Pairing interface {
	// Redeem trusts from if secret is that of an invite that still holds, and
	// returns what this node calls itself. It compares secrets in constant
	// time. The peer is told of every error that it was refused, and no more:
	// a wrong secret looks like an expired one. name and addrs keep the limits
	// of Pair but are a stranger's word. It is called from many goroutines, at
	// most four times in a second.
	Redeem(from peer.ID, secret []byte, name string, addrs []ma.Multiaddr) (ownName string, err error)
}

// servePair answers one attempt to redeem an invite.
func (in *incoming) servePair(context.Context) error {
	var request wire.PairRequest
	if err := in.read(&request, MaxPairBytes); err != nil {
		return fmt.Errorf("read pair request: %w", err)
	}
	name, err := in.redeem(&request)
	if err != nil {
		return in.decline(err, &wire.PairAnswer{Status: statusOf(err)})
	}
	if err := in.write(&wire.PairAnswer{Status: wire.Status_STATUS_OK, Name: name}); err != nil {
		return fmt.Errorf("write pair answer: %w", err)
	}
	return nil
}

func (in *incoming) redeem(request *wire.PairRequest) (ownName string, err error) {
	pairing := in.server.cfg.Pairing
	if pairing == nil {
		return "", fmt.Errorf("%w: no invites are redeemed", ErrRefused)
	}
	addrs, err := decodePairRequest(request)
	if err != nil {
		return "", fmt.Errorf("%w: %v", errInvalid, err)
	}
	if !in.server.pairings.allow(in.peer) {
		return "", fmt.Errorf("%w: too many attempts to pair", ErrBusy)
	}
	if err := in.count(); err != nil { // so that it is not dropped halfway
		return "", err
	}
	ownName, err = pairing.Redeem(in.peer, request.Secret, request.Name, addrs)
	if err != nil {
		if !errors.Is(err, ErrRefused) {
			in.server.cfg.Logger.Warn("cannot redeem invite", "peer", in.peer, "error", err)
		}
		return "", fmt.Errorf("%w: %v", ErrRefused, err)
	}
	if !validPeerName(ownName) {
		in.server.cfg.Logger.Warn("own name cannot be told", "name", ownName)
		ownName = ""
	}
	return ownName, nil
}
