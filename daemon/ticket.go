package daemon

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

const (
	ticketPrefix  = "vidsync1" // and the version of what follows
	ticketVersion = 1
	maxTicketText = 4096 // characters
	maxTicketName = 255  // bytes
	maxTicketAddr = 8

	defaultExpiry = 7 * 24 * time.Hour
	maxExpiry     = 10 * 365 * 24 * time.Hour

	// signingDomain keeps a capability's signature from meaning anything else.
	signingDomain = "vidsync capability 1\x00"
)

var errExpired = errors.New("ticket has expired")

var ticketEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// A capability is a signed statement: whoever bears it may have this video
// until it expires.
type capability struct {
	Video   cid.Cid
	Signer  peer.ID
	Expires time.Time
	ID      [8]byte // random, names the ticket
	Issued  int64   // milliseconds since 1970; 0: signed by a version that did not say
}

// claims is the signed part of a capability on the wire.
type claims struct {
	_       struct{} `cbor:",toarray"`
	Video   []byte
	Signer  []byte
	Expires int64 // seconds since 1970
	ID      [8]byte
	Issued  int64 // milliseconds since 1970
}

// oldClaims is claims as they were before they said when they were made.
type oldClaims struct {
	_       struct{} `cbor:",toarray"`
	Video   []byte
	Signer  []byte
	Expires int64
	ID      [8]byte
}

// signed is a capability on the wire.
type signed struct {
	_         struct{} `cbor:",toarray"`
	Claims    []byte
	Signature []byte
}

// ticket is the wire form of a ticket, before base32.
type ticket struct {
	_          struct{} `cbor:",toarray"`
	Version    int
	Name       string
	Addrs      [][]byte // multiaddrs of the signer
	Capability []byte
}

func signCapability(key crypto.PrivKey, c capability) ([]byte, error) {
	body, err := cbor.Marshal(claims{Video: c.Video.Bytes(), Signer: []byte(c.Signer), Expires: c.Expires.Unix(), ID: c.ID, Issued: c.Issued})
	if err != nil {
		return nil, fmt.Errorf("sign ticket: %w", err)
	}
	sig, err := key.Sign(append([]byte(signingDomain), body...))
	if err != nil {
		return nil, fmt.Errorf("sign ticket: %w", err)
	}
	return cbor.Marshal(signed{Claims: body, Signature: sig})
}

// parseCapability reads a capability and checks its signature, but not
// whether it fits a request: see check.
func parseCapability(data []byte) (capability, error) {
	var s signed
	var body claims
	if err := protocol.DecodeCanonical(data, &s); err != nil {
		return capability{}, fmt.Errorf("capability: %w", err)
	}
	if err := decodeClaims(s.Claims, &body); err != nil {
		return capability{}, fmt.Errorf("capability: %w", err)
	}
	signer, err := peer.IDFromBytes(body.Signer)
	if err != nil {
		return capability{}, fmt.Errorf("capability: signer: %w", err)
	}
	key, err := signer.ExtractPublicKey()
	if err != nil {
		return capability{}, fmt.Errorf("capability: signer %s: %w", signer, err)
	}
	ok, err := key.Verify(append([]byte(signingDomain), s.Claims...), s.Signature)
	if err != nil || !ok {
		return capability{}, errors.New("capability: the signature does not hold")
	}
	video, err := manifest.ParseVideoCIDBytes(body.Video)
	if err != nil {
		return capability{}, fmt.Errorf("capability: %w", err)
	}
	return capability{Video: video, Signer: signer, Expires: time.Unix(body.Expires, 0), ID: body.ID, Issued: body.Issued}, nil
}

// decodeClaims reads claims of either form.
func decodeClaims(data []byte, into *claims) error {
	var old oldClaims
	if err := protocol.DecodeCanonical(data, &old); err == nil {
		*into = claims{Video: old.Video, Signer: old.Signer, Expires: old.Expires, ID: old.ID}
		return nil
	}
	return protocol.DecodeCanonical(data, into)
}

func (c capability) check(video cid.Cid, now time.Time) error {
	if c.Video != video {
		return errors.New("ticket is for another video")
	}
	if !now.Before(c.Expires) {
		return errExpired
	}
	return nil
}

// invitation is what a parsed ticket says.
type invitation struct {
	capability
	Name     string
	Provider peer.AddrInfo
	Bytes    []byte // the capability as it goes to peers
}

// isTicket tells a ticket from a CID or name by its prefix.
func isTicket(ref string) bool {
	return len(ref) >= len(ticketPrefix) && strings.EqualFold(ref[:len(ticketPrefix)], ticketPrefix)
}

func parseTicket(text string) (invitation, error) {
	if len(text) > maxTicketText {
		return invitation{}, fmt.Errorf("ticket of %d characters, at most %d are allowed", len(text), maxTicketText)
	}
	body := strings.ToUpper(text[len(ticketPrefix):])
	data, err := ticketEncoding.DecodeString(body)
	if err != nil || ticketEncoding.EncodeToString(data) != body { // there is one way to write a ticket
		return invitation{}, errors.New("ticket is damaged: it was cut short or mistyped")
	}
	var t ticket
	if err := protocol.DecodeCanonical(data, &t); err != nil {
		return invitation{}, fmt.Errorf("ticket is damaged: %w", err)
	}
	if t.Version != ticketVersion || len(t.Name) > maxTicketName || len(t.Addrs) > maxTicketAddr {
		return invitation{}, errors.New("ticket is of another version, or over its limits")
	}
	c, err := parseCapability(t.Capability)
	if err != nil {
		return invitation{}, err
	}
	inv := invitation{capability: c, Name: t.Name, Provider: peer.AddrInfo{ID: c.Signer}, Bytes: t.Capability}
	for _, b := range t.Addrs {
		a, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return invitation{}, fmt.Errorf("ticket is damaged: address: %w", err)
		}
		inv.Provider.Addrs = append(inv.Provider.Addrs, a)
	}
	return inv, nil
}

// Ticket makes a ticket for a video that is here.
func (n *Node) Ticket(ctx context.Context, req api.TicketRequest) (api.Ticket, error) {
	v, err := n.localVideo(req.Ref)
	if err != nil {
		return api.Ticket{}, err
	}
	life := req.Expires
	if life == 0 {
		life = defaultExpiry
	}
	if life < 0 || life > maxExpiry {
		return api.Ticket{}, api.Errorf(api.CodeUsage, "--expires %v is not between 0 and %v", life, maxExpiry)
	}
	net, err := n.network(ctx)
	if err != nil {
		return api.Ticket{}, err
	}
	c := capability{Video: v.CID, Signer: n.self, Expires: time.Now().Add(life), Issued: n.revoked.issue(v.CID, time.Now())}
	rand.Read(c.ID[:])
	body, err := signCapability(n.key, c)
	if err != nil {
		return api.Ticket{}, err
	}
	t := ticket{Version: ticketVersion, Name: safeName(v.Name, v.CID), Capability: body} // a file's name may be no text
	for _, a := range net.shareableAddrs() {
		t.Addrs = append(t.Addrs, a.Bytes())
	}
	data, err := cbor.Marshal(t)
	if err != nil {
		return api.Ticket{}, fmt.Errorf("make ticket: %w", err)
	}
	text := ticketPrefix + strings.ToLower(ticketEncoding.EncodeToString(data))
	return api.Ticket{Ticket: text, CID: v.CID.String(), Name: v.Name, Expires: c.Expires.UTC().Truncate(time.Second)}, nil
}
