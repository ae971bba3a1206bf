package daemon

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
)

func testBans(t *testing.T, path string) *banList {
	t.Helper()
	return openBanList(path, slog.New(slog.DiscardHandler))
}

func TestBansLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "banned.json")
	_, liar := testKey(t)
	video, other := testVideo(t, 1).CID(), testVideo(t, 2).CID()
	now := time.Now()
	list := testBans(t, path)
	for _, piece := range []int{3, 4} {
		if err := list.add(ban{Peer: liar, Video: video.String(), Block: 2, Piece: piece, Time: now, Reason: "wrong"}); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file: %v, %v", info, err)
	}
	list = testBans(t, path)
	if b, banned := list.of(liar, now); !banned || b.Piece != 4 || len(list.bans) != 1 {
		t.Errorf("after opening again: %+v, %v", list.bans, banned)
	}
	if list.from(liar, video, now) == nil || list.from(liar, other, now) != nil {
		t.Error("the ban is not for its video alone")
	}
	if list.from(liar, video, now.Add(banLife+time.Second)) != nil || list.peers(now.Add(banLife+time.Second)) != nil {
		t.Error("the ban does not end")
	}
	if forgiven, err := list.forgive(liar); !forgiven || err != nil {
		t.Errorf("forgive: %v, %v", forgiven, err)
	}
	if got := testBans(t, path).bans; len(got) != 0 {
		t.Errorf("after it was forgiven: %+v", got)
	}
}

func TestBansAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "banned.json")
	now := time.Now()
	list := testBans(t, path)
	for i := range maxBans {
		list.bans = append(list.bans, ban{Peer: peer.ID(string(rune(i))), Video: "v", Time: now})
	}
	if err := list.add(ban{Peer: "new", Video: "v", Time: now}); err != nil || len(list.bans) != maxBans || list.bans[maxBans-1].Peer != "new" {
		t.Errorf("%d bans, the last %q, %v", len(list.bans), list.bans[maxBans-1].Peer, err)
	}
}

func TestDamagedListsBeginAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if list := testBans(t, path); len(list.bans) != 0 {
		t.Errorf("bans %+v", list.bans)
	}
	if list := openDamageList(path, slog.New(slog.DiscardHandler)); len(list.files) != 0 {
		t.Errorf("damage %+v", list.files)
	}
}

// A banned peer is a candidate that is not asked; trusting it lifts the ban.
func TestBannedPeerIsNotAsked(t *testing.T) {
	n := testNode(t)
	net := testNetwork(t)
	video := testVideo(t, 1).CID()
	_, liar := testKey(t)
	n.blame(badReport{video: video}, liar.String(), errors.New("wrong"))
	spec := []byte(`{"peers":["/ip4/192.0.2.2/tcp/4101/p2p/` + liar.String() + `"]}`)
	fresh := func() []peer.AddrInfo {
		p := newProviders(net, n.trust, n.bans, video, net.log)
		p.join(spec)
		fresh := p.fresh()
		if err := p.hopeless(time.Now().Add(time.Minute)); len(fresh) == 0 && api.CodeOf(err) != api.CodeCorrupt {
			t.Errorf("without anybody else: %v", err)
		}
		return fresh
	}
	if got := fresh(); len(got) != 0 {
		t.Errorf("asked: %v", got)
	}
	peers, err := n.Peers(t.Context())
	if err != nil || len(peers) != 1 || !peers[0].Banned || peers[0].Ban.CID != video.String() {
		t.Errorf("peers: %+v, %v", peers, err)
	}
	if _, err := n.RemovePeer(t.Context(), liar.String()); err != nil {
		t.Error(err)
	}
	if got := fresh(); len(got) != 1 {
		t.Errorf("asked after the ban was lifted: %v", got)
	}
	if _, err := n.RemovePeer(t.Context(), liar.String()); api.CodeOf(err) != api.CodeNotFound {
		t.Errorf("lifted twice: %v", err)
	}
	n.blame(badReport{video: video}, liar.String(), errors.New("wrong"))
	if _, err := n.AddPeer(t.Context(), api.AddPeerRequest{Addr: liar.String()}); err != nil || len(fresh()) != 1 {
		t.Errorf("after it was trusted: %v", err)
	}
}
