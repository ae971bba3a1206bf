package protocol

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// Limits of pairing that both ends know. docs/protocol.md lists them.
const (
	// MaxPairBytes is the longest PairRequest.
	MaxPairBytes = 4096
	// MinSecretBytes is the shortest secret of an invite.
	MinSecretBytes = 16
	// MaxSecretBytes is the longest secret of an invite.
	MaxSecretBytes = 64
	// MaxPeerNameBytes is the longest name of a node.
	MaxPeerNameBytes = 64
	// MaxPairAddrs is the most addresses that a node gives when it pairs.
	MaxPairAddrs = 8
	// MaxAddrBytes is the longest of these.
	MaxAddrBytes = 256
)

// Pair redeems an invite of peer p by its secret, of MinSecretBytes to
// MaxSecretBytes. name is what this node calls itself: at most
// MaxPeerNameBytes of UTF-8 without control characters, maybe none. addrs are
// where it can be reached, at most MaxPairAddrs. It returns what the peer
// calls itself, under the same limits.
//
// The secret is sent as it is. The invite names p, and the connection proves
// that it ends there.
//
// Errors are ctx's, or wrap ErrRefused (the secret is wrong or has expired;
// nobody says which), ErrBusy (too many attempts; try again after a second),
// ErrProtocol or what the network said.
func Pair(ctx context.Context, h host.Host, p peer.ID, secret []byte, name string, addrs []ma.Multiaddr, cfg ClientConfig) (peerName string, err error) {
	request := &wire.PairRequest{Secret: secret, Name: name}
	for _, a := range addrs {
		request.Addrs = append(request.Addrs, a.Bytes())
	}
	if _, err := decodePairRequest(request); err != nil {
		return "", fmt.Errorf("pair with %s: %w", p, err)
	}
	peerName, err = pair(ctx, h, p, request, cfg.withDefaults())
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("pair with %s: %w", p, err)
	}
	return peerName, nil
}

func pair(ctx context.Context, h host.Host, p peer.ID, request *wire.PairRequest, cfg ClientConfig) (name string, err error) {
	f, err := openStream(ctx, h, p, PairID, controlBytes, cfg)
	if err != nil {
		return "", err
	}
	defer func() { f.end(err) }()
	if err := f.write(request); err != nil {
		return "", err
	}
	var answer wire.PairAnswer
	if err := f.read(&answer, MaxAnswerBytes); err != nil {
		return "", cutShort(err)
	}
	if err := errorOf(answer.Status); err != nil {
		return "", err
	}
	if !validPeerName(answer.Name) {
		return "", fmt.Errorf("%w: name %q", ErrProtocol, answer.Name)
	}
	return answer.Name, nil
}

// decodePairRequest checks a request and returns the addresses in it.
func decodePairRequest(m *wire.PairRequest) ([]ma.Multiaddr, error) {
	if n := len(m.Secret); n < MinSecretBytes || n > MaxSecretBytes {
		return nil, fmt.Errorf("secret of %d bytes", n)
	}
	if !validPeerName(m.Name) {
		return nil, fmt.Errorf("name %q", m.Name)
	}
	if len(m.Addrs) > MaxPairAddrs {
		return nil, fmt.Errorf("%d addresses", len(m.Addrs))
	}
	addrs := make([]ma.Multiaddr, 0, len(m.Addrs))
	for _, b := range m.Addrs {
		if len(b) == 0 || len(b) > MaxAddrBytes {
			return nil, fmt.Errorf("address of %d bytes", len(b))
		}
		a, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return nil, fmt.Errorf("address: %w", err)
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

// validPeerName tells whether a node may call itself so. It may be empty.
func validPeerName(name string) bool {
	return len(name) <= MaxPeerNameBytes && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}
