package daemon

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

func bearerHost(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// Tickets that count no more, or never did, are refused over the wire, in the
// same way whether the video is here or not. They hurt nobody with a good one.
func TestHostileTableOfTickets(t *testing.T) {
	t.Parallel() // it mostly waits
	n := runningNode(t)
	_, _, m := addRandom(t, n, 2*manifest.PieceSize)
	_, _, other := addRandom(t, n, 3*manifest.PieceSize)
	h := bearerHost(t)
	net, err := n.network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := peer.AddrInfo{ID: n.self, Addrs: net.host.Addrs()}
	ask := func(video cid.Cid, capability []byte) error {
		if err := h.Connect(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		_, err := protocol.NewRemote(h, n.self, video, capability, protocol.ClientConfig{}).Manifest(t.Context())
		return err
	}
	hour := time.Now().Add(time.Hour)
	sign := func(key crypto.PrivKey, signer peer.ID, video cid.Cid, expires time.Time) []byte {
		body, err := signCapability(key, capability{Video: video, Signer: signer, Expires: expires, Issued: time.Now().UnixMilli()})
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	friendKey, friend := testKey(t)
	strangerKey, stranger := testKey(t)
	if _, err := n.trust.add(peer.AddrInfo{ID: friend}, "friend"); err != nil {
		t.Fatal(err)
	}
	byFriend := sign(friendKey, friend, m.CID(), hour)
	ticket, inv := ticketFor(t, n, m.CID().String())
	good := sign(n.key, n.self, m.CID(), hour)
	for name, c := range map[string][]byte{"own": inv.Bytes, "of a friend": byFriend, "another": good} {
		if err := ask(m.CID(), c); err != nil {
			t.Errorf("good ticket, %s: %v", name, err)
		}
	}
	if _, err := n.Revoke(t.Context(), ticket); err != nil {
		t.Fatal(err)
	}
	if _, err := n.RemovePeer(t.Context(), "friend"); err != nil {
		t.Fatal(err)
	}
	absent := testVideo(t, 9).CID()
	for _, test := range []struct {
		name       string
		video      cid.Cid
		capability []byte
	}{
		{"none", m.CID(), nil},
		{"none, for what is not here", absent, nil},
		{"garbage", m.CID(), []byte("garbage")},
		{"as long as allowed", m.CID(), make([]byte, protocol.MaxCapabilityBytes)},
		{"expired", m.CID(), sign(n.key, n.self, m.CID(), time.Now().Add(-time.Second))},
		{"expired before 1970", m.CID(), sign(n.key, n.self, m.CID(), time.Unix(-1<<40, 0))},
		{"for another video", other.CID(), good},
		{"for another video, for what is not here", absent, good},
		{"signed by a stranger", m.CID(), sign(strangerKey, stranger, m.CID(), hour)},
		{"signed by a stranger in our name", m.CID(), sign(strangerKey, n.self, m.CID(), hour)},
		{"revoked", m.CID(), inv.Bytes},
		{"signed by who was removed", m.CID(), byFriend},
		{"twice", m.CID(), append(bytes.Clone(good), good...)},
		{"cut", m.CID(), good[:len(good)-1]},
	} {
		err := ask(test.video, test.capability)
		if !errors.Is(err, protocol.ErrRefused) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	for bit := range 8 * len(good) {
		flipped := bytes.Clone(good)
		flipped[bit/8] ^= 1 << (bit % 8)
		if _, err := n.Authorize(h.ID(), m.CID(), flipped); err == nil {
			t.Errorf("bit %d may be changed", bit)
		}
	}
	if err := ask(m.CID(), good); err != nil {
		t.Errorf("a good ticket after that: %v", err)
	}
}

// Who is removed loses the connection at once, and comes back as a stranger.
func TestRemovedPeerIsAStranger(t *testing.T) {
	t.Parallel() // it mostly waits
	n := runningNode(t)
	_, _, m := addRandom(t, n, 2*manifest.PieceSize)
	h := bearerHost(t)
	net, err := n.network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.AddPeer(t.Context(), api.AddPeerRequest{Addr: h.ID().String()}); err != nil {
		t.Fatal(err)
	}
	at := peer.AddrInfo{ID: n.self, Addrs: net.host.Addrs()}
	if err := h.Connect(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	r := protocol.NewRemote(h, n.self, m.CID(), nil, protocol.ClientConfig{})
	if _, err := r.Manifest(t.Context()); err != nil {
		t.Fatalf("while trusted: %v", err)
	}
	r.SetManifest(m)
	began, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- r.Run(t.Context(), func(int, uint32) { close(began) }) }()
	<-began
	if _, err := n.RemovePeer(t.Context(), h.ID().String()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the streams closed in order")
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the streams outlive the trust")
	}
	if err := h.Connect(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	if _, err := protocol.NewRemote(h, n.self, m.CID(), nil, protocol.ClientConfig{}).Manifest(t.Context()); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("once removed: %v", err)
	}
}
