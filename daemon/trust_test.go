package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
)

func testNode(t *testing.T) *Node {
	t.Helper()
	home := t.TempDir()
	n, err := Open(t.Context(), Config{Paths: Paths{
		Identity: filepath.Join(home, "identity.key"), Peers: filepath.Join(home, "peers.json"),
		Index: filepath.Join(home, "index"), Work: filepath.Join(home, "work"), Videos: filepath.Join(home, "videos"),
		Lock: filepath.Join(home, "lock"), Limits: filepath.Join(home, "limits.json"),
		Banned: filepath.Join(home, "banned.json"), Damaged: filepath.Join(home, "damaged.json"),
		Revoked: filepath.Join(home, "revoked.json"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func TestAuthorize(t *testing.T) {
	n := testNode(t)
	_, stranger := testKey(t)
	_, friend := testKey(t)
	if _, err := n.trust.add(peer.AddrInfo{ID: friend}, "friend"); err != nil {
		t.Fatal(err)
	}
	friendKey, friendSigner := testKey(t)
	if _, err := n.trust.add(peer.AddrInfo{ID: friendSigner}, ""); err != nil {
		t.Fatal(err)
	}
	strangerKey, strangerSigner := testKey(t)
	bringerKey, bringer := testKey(t)
	video, other, brought := testVideo(t, 1).CID(), testVideo(t, 2).CID(), testVideo(t, 3).CID()
	if err := n.store.PutVideo(blockstore.Video{CID: brought, Name: "x", Signer: bringer.String()}); err != nil {
		t.Fatal(err)
	}
	hour := time.Now().Add(time.Hour)
	sign := func(key crypto.PrivKey, signer peer.ID, video cid.Cid, expires time.Time) []byte {
		body, err := signCapability(key, capability{Video: video, Signer: signer, Expires: expires})
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	own := sign(n.key, n.self, video, hour)
	late := sign(n.key, n.self, video, time.Now().Add(-time.Minute))
	byFriend := sign(friendKey, friendSigner, video, hour)
	byStranger := sign(strangerKey, strangerSigner, video, hour)
	byBringer := sign(bringerKey, bringer, brought, hour)
	bringersOther := sign(bringerKey, bringer, other, hour)

	tests := []struct {
		name       string
		who        peer.ID
		video      cid.Cid
		capability []byte
		ok         bool
	}{
		{"trusted peer", friend, video, nil, true},
		{"stranger", stranger, video, nil, false},
		{"stranger with garbage", stranger, video, []byte("garbage"), false},
		{"our ticket", stranger, video, own, true},
		{"our ticket for another video", stranger, other, own, false},
		{"our expired ticket", stranger, video, late, false},
		{"a trusted peer's ticket", stranger, video, byFriend, true},
		{"a stranger's ticket", stranger, video, byStranger, false},
		{"the ticket that brought the video", stranger, brought, byBringer, true},
		{"its signer's ticket for another video", stranger, other, bringersOther, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			until, err := n.Authorize(tt.who, tt.video, tt.capability)
			if (err == nil) != tt.ok {
				t.Errorf("Authorize: %v, want ok %v", err, tt.ok)
			}
			if want := tt.ok && tt.capability != nil; want != until.Equal(hour.Truncate(time.Second)) {
				t.Errorf("allowed until %v, by a ticket: %v", until, want)
			}
		})
	}
}

func TestTrustListSurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers.json")
	list, err := openTrustList(path)
	if err != nil {
		t.Fatal(err)
	}
	_, id := testKey(t)
	if _, err := list.add(peer.AddrInfo{ID: id}, "camera"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("trust list: %v, %v", info.Mode(), err)
	}
	again, err := openTrustList(path)
	if err != nil || !again.has(id) {
		t.Fatalf("after opening again: %v, has %v", err, again.has(id))
	}
	if _, err := again.remove("camera"); err != nil || again.has(id) {
		t.Errorf("remove by name: %v, has %v", err, again.has(id))
	}
	if _, err := again.remove("camera"); err == nil {
		t.Error("removed twice")
	}
}

func TestPeerNamesAreUnique(t *testing.T) {
	list, err := openTrustList(filepath.Join(t.TempDir(), "peers.json"))
	if err != nil {
		t.Fatal(err)
	}
	_, first := testKey(t)
	_, second := testKey(t)
	if _, err := list.add(peer.AddrInfo{ID: first}, "camera"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"camera", first.String()} {
		if _, err := list.add(peer.AddrInfo{ID: second}, name); api.CodeOf(err) != api.CodeUsage {
			t.Errorf("a second peer named %s: %v", name, err)
		}
	}
	if _, err := list.add(peer.AddrInfo{ID: first}, "camera"); err != nil {
		t.Errorf("the same peer again: %v", err)
	}
}

func TestIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "identity.key")
	first, err := loadIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("identity: %v, %v", info, err)
	}
	again, err := loadIdentity(path)
	if err != nil || !first.Equals(again) {
		t.Errorf("another identity the second time: %v", err)
	}
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadIdentity(path); err == nil {
		t.Error("a damaged identity is accepted")
	}
}
