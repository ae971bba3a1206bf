package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/daemon"
	"github.com/vidsync/vidsync/protocol"
)

// patience bounds the waits of these tests.
const patience = 2 * time.Minute

func serving(cfg *daemon.Config) { cfg.Serve = true }

// eventually asks again and again until the answer is yes.
func eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ask(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

func (n *testNode) arrived(path string) func() bool {
	return func() bool {
		videos, err := api.Collect(n.Videos(context.Background()))
		for _, v := range videos {
			if err == nil && v.Path == path && v.State == "whole" {
				return true
			}
		}
		return false
	}
}

// listens has a node listen where it did before.
func listens(addr string) func(*daemon.Config) {
	addr, _, _ = strings.Cut(addr, "/p2p/")
	return func(cfg *daemon.Config) { cfg.Listen = []string{addr} }
}

func peerID(t *testing.T, n *testNode) string {
	t.Helper()
	id, err := n.ID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id.PeerID
}

// edgeOf is a node that dials out to server, which trusts it but does not know
// where it is.
func edgeOf(t *testing.T, server *testNode, name string, change ...func(*daemon.Config)) *testNode {
	t.Helper()
	edge := startNode(t, append(change, serving)...)
	if _, err := server.AddPeer(t.Context(), api.AddPeerRequest{Addr: peerID(t, edge), Name: name}); err != nil {
		t.Fatal(err)
	}
	edge.trusts(t, server)
	return edge
}

func (n *testNode) follow(t *testing.T, req api.FollowRequest) api.Follow {
	t.Helper()
	f, err := n.Follow(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// recording writes a file below a folder.
func recording(t *testing.T, dir, rel string, size int, seed uint64) []byte {
	t.Helper()
	path, data := randomFile(t, "x", size, seed)
	to := filepath.Join(dir, rel)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, to); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFollowThroughRestarts(t *testing.T) {
	t.Parallel()
	serverHome, edgeHome, camera := t.TempDir(), t.TempDir(), t.TempDir()
	server := startNodeAt(t, serverHome, serving)
	edge := startNodeAt(t, edgeHome, serving)
	if _, err := server.AddPeer(t.Context(), api.AddPeerRequest{Addr: peerID(t, edge), Name: "stage 2"}); err != nil {
		t.Fatal(err)
	}
	edge.trusts(t, server)
	past := recording(t, camera, "day 1/talk.mp4", oddSize, 1)
	recording(t, camera, "day 1/notes.txt", 10, 2)
	if _, err := edge.Add(t.Context(), api.AddRequest{Paths: []string{camera}}, nil); err != nil {
		t.Fatal(err)
	}

	f := server.follow(t, api.FollowRequest{Peer: "stage 2", Globs: []string{"*.MP4"}})
	at := func(rel string) string { return filepath.Join(serverHome, "videos", "stage 2", rel) }
	if f.Into != at("") || f.PeerID != peerID(t, edge) {
		t.Errorf("follow: %+v", f)
	}
	eventually(t, "the video that was there before", server.arrived(at("day 1/talk.mp4")))
	sameFile(t, at("day 1/talk.mp4"), past)
	future := recording(t, camera, "day 2/panel.mp4", mib, 3)
	video := edge.add(t, filepath.Join(camera, "day 2/panel.mp4")) // alone, so its path is its name
	eventually(t, "the video that was added later", server.arrived(at("panel.mp4")))
	sameFile(t, at("panel.mp4"), future)
	eventually(t, "a receipt", func() bool { return holders(t, edge, video.CID) == 1 })

	serverAddr, edgeAddr := server.addr(t), edge.addr(t)
	server.stop()
	recording(t, camera, "day 3/late.mp4", 3*mib, 4)
	edge.add(t, filepath.Join(camera, "day 3/late.mp4"))
	server = startNodeAt(t, serverHome, serving, listens(serverAddr))
	eventually(t, "what was added while the server was down", server.arrived(at("late.mp4")))
	edge.stop()
	edge = startNodeAt(t, edgeHome, serving, listens(edgeAddr))
	again := recording(t, camera, "day 4/again.mp4", mib, 5)
	last := edge.add(t, filepath.Join(camera, "day 4/again.mp4"))
	eventually(t, "what was added after the edge's restart", server.arrived(at("again.mp4")))
	sameFile(t, at("again.mp4"), again)
	eventually(t, "its receipt", func() bool { return holders(t, edge, last.CID) == 1 })

	// What the edge forgets stays here, and what does not match never came.
	if _, err := edge.Remove(t.Context(), api.RemoveRequest{Ref: last.CID, Files: true}); err != nil {
		t.Fatal(err)
	}
	marker := recording(t, camera, "marker.mp4", 1000, 6)
	edge.add(t, filepath.Join(camera, "marker.mp4"))
	eventually(t, "a video after the removal", server.arrived(at("marker.mp4")))
	sameFile(t, at("marker.mp4"), marker)
	sameFile(t, at("again.mp4"), again)
	if !server.arrived(at("again.mp4"))() {
		t.Error("a removal there took the video out of the catalogue here")
	}
	if _, err := os.Stat(at("day 1/notes.txt")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that no pattern matches: %v", err)
	}
}

// holders counts the peers that hold a video of n for sure.
func holders(t *testing.T, n *testNode, ref string) int {
	t.Helper()
	r, err := n.Receipts(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return r.Safe
}

func TestReceiptIsForThirdParties(t *testing.T) {
	t.Parallel()
	server := startNode(t, serving)
	edge := edgeOf(t, server, "edge")
	path, _ := randomFile(t, "talk.mp4", oddSize, 7)
	video := edge.add(t, path)

	// The server has it by another way already: it reads it before it signs.
	if _, err := server.Fetch(t.Context(), api.FetchRequest{Ref: video.CID, Peers: []string{edge.addr(t)}}, nil); err != nil {
		t.Fatal(err)
	}
	server.follow(t, api.FollowRequest{Peer: "edge"})
	eventually(t, "a receipt", func() bool { return holders(t, edge, video.CID) == 1 })
	listed, err := edge.Receipts(t.Context(), "talk.mp4")
	if err != nil || len(listed.Receipts) != 1 {
		t.Fatalf("receipts %+v, %v", listed, err)
	}
	data, err := json.Marshal(listed.Receipts[0])
	if err != nil {
		t.Fatal(err)
	}
	var r protocol.SignedReceipt
	if err := errors.Join(json.Unmarshal(data, &r), r.Verify()); err != nil {
		t.Fatal(err)
	}
	if r.Size != oddSize || r.Holder.String() != peerID(t, server) || r.Video.String() != video.CID {
		t.Errorf("receipt %+v", r)
	}
	if videos, err := api.Collect(server.Videos(t.Context())); err != nil || len(videos) != 1 || filepath.Base(filepath.Dir(videos[0].Path)) != "videos" {
		t.Errorf("the video was fetched again: %+v, %v", videos, err)
	}

	// Who is not trusted any more does not count, whatever it signed.
	if _, err := edge.RemovePeer(t.Context(), peerID(t, server)); err != nil {
		t.Fatal(err)
	}
	if listed, err = edge.Receipts(t.Context(), video.CID); err != nil || listed.Safe != 0 || len(listed.Receipts) != 1 || listed.Receipts[0].Trusted {
		t.Errorf("after the server was taken off the list: %+v, %v", listed, err)
	}
}

// Two peers have other videos under one path, and the follower wants both in one
// folder.
func TestFollowedPeersShareAFolder(t *testing.T) {
	t.Parallel()
	server := startNode(t, serving)
	a, b := edgeOf(t, server, "a"), edgeOf(t, server, "b")
	into := filepath.Join(t.TempDir(), "in", "box")
	var want [][]byte
	for i, edge := range []*testNode{a, b} {
		camera := t.TempDir()
		want = append(want, recording(t, camera, "day 1/talk.mp4", 2*mib+i, uint64(10+i)))
		if _, err := edge.Add(t.Context(), api.AddRequest{Paths: []string{camera}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, peer := range []string{"a", "b"} {
		server.follow(t, api.FollowRequest{Peer: peer, Into: into})
	}
	first, second := filepath.Join(into, "day 1", "talk.mp4"), filepath.Join(into, "day 1", "talk (2).mp4")
	eventually(t, "one", server.arrived(first))
	eventually(t, "the other", server.arrived(second))
	if info, err := os.Stat(first); err != nil || int(info.Size()) != len(want[0]) {
		first, second = second, first
	}
	sameFile(t, first, want[0])
	sameFile(t, second, want[1])

	eventually(t, "nothing to wait any more", func() bool {
		follows, err := server.Follows(t.Context())
		return err == nil && len(follows) == 2 && follows[0].Name == "a" && follows[0].State == "following" && follows[0].Waiting == 0
	})
	if _, err := server.Unfollow(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	path, _ := randomFile(t, "more.mp4", mib, 12)
	a.add(t, path)
	path, more := randomFile(t, "more.mp4", mib, 13)
	b.add(t, path)
	eventually(t, "a video of the peer that is still followed", server.arrived(filepath.Join(into, "more.mp4")))
	sameFile(t, filepath.Join(into, "more.mp4"), more)
}

func TestFollowErrors(t *testing.T) {
	n, other := startNode(t), startNode(t)
	n.trusts(t, other)
	id := peerID(t, other)
	stranger := "12D3KooWHnW56F3Zgafd9XqBU8Z9PfmrLPLp396fbNVfhQsshKWa"
	for name, tt := range map[string]struct {
		req  api.FollowRequest
		code api.Code
		word string
	}{
		"unknown name":  {api.FollowRequest{Peer: "stage2"}, api.CodeNotFound, "vidsync join"},
		"stranger":      {api.FollowRequest{Peer: stranger}, api.CodeRefused, "vidsync peer add"},
		"itself":        {api.FollowRequest{Peer: peerID(t, n)}, api.CodeUsage, "itself"},
		"bad pattern":   {api.FollowRequest{Peer: id, Globs: []string{"[a"}}, api.CodeUsage, "pattern"},
		"relative path": {api.FollowRequest{Peer: id, Into: "box"}, api.CodeUsage, "absolute"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.Follow(t.Context(), tt.req)
			wantCode(t, err, tt.code, tt.word)
		})
	}
	_, err := n.Unfollow(t.Context(), id)
	wantCode(t, err, api.CodeNotFound, "follow ls")
	_, err = n.Receipts(t.Context(), nobodyHas)
	wantCode(t, err, api.CodeNotFound)
}
