package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// runningNode is a testNode on the network.
func runningNode(t *testing.T) *Node {
	t.Helper()
	n := testNode(t)
	n.cfg.Listen, n.cfg.NoMDNS, n.cfg.NoTranscribe = []string{"/ip4/127.0.0.1/tcp/0"}, true, true
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return n
}

// rot changes a byte of a file and makes the index believe that it was added
// like this, as if the disk had changed the byte by itself.
func rot(t *testing.T, n *Node, m *manifest.Manifest, path string, offset int64) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[offset] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := n.store.Video(m.CID())
	if err != nil {
		t.Fatal(err)
	}
	imp := n.store.Import()
	for i := range m.NumBlocks() {
		o, err := n.store.Outboard(m.Block(i).Digest)
		if err == nil {
			err = imp.Block(m.Block(i), o)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := imp.Commit(m, blockstore.File{Path: path, Stamp: blockstore.StampOf(info), Origin: blockstore.Added}, v); err != nil {
		t.Fatal(err)
	}
}

func addRandom(t *testing.T, n *Node, size int) (path string, data []byte, m *manifest.Manifest) {
	t.Helper()
	path, data = filepath.Join(t.TempDir(), "talk.mp4"), make([]byte, size)
	rand.Read(data)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	res, err := n.Add(t.Context(), api.AddRequest{Paths: []string{path}}, nil)
	if err != nil || len(res.Added) != 1 {
		t.Fatalf("add: %+v, %v", res, err)
	}
	video, err := n.resolve(res.Added[0].CID)
	if err != nil {
		t.Fatal(err)
	}
	if m, err = n.lib.manifest(t.Context(), video); err != nil {
		t.Fatal(err)
	}
	return path, data, m
}

func listedVideo(t *testing.T, n *Node) api.Video {
	t.Helper()
	videos, err := api.Collect(n.Videos(t.Context()))
	if err != nil || len(videos) != 1 {
		t.Fatalf("videos: %+v, %v", videos, err)
	}
	return videos[0]
}

// A receiver tells its provider of a bad piece; the provider finds it on its
// disk, keeps it back and says where it is, and serves the rest.
func TestBadPieceIsFoundOnTheDisk(t *testing.T) {
	t.Parallel() // it mostly waits
	a, b := runningNode(t), runningNode(t)
	path, data, m := addRandom(t, a, 6*manifest.PieceSize+5)
	rot(t, a, m, path, 4*manifest.PieceSize+1)
	ticket, err := a.Ticket(t.Context(), api.TicketRequest{Ref: m.CID().String()})
	if err != nil {
		t.Fatal(err)
	}
	fetch := func(timeout time.Duration) (api.FetchResult, error) {
		return b.Fetch(t.Context(), api.FetchRequest{Ref: ticket.Ticket, Timeout: timeout}, nil)
	}
	if _, err := fetch(0); api.CodeOf(err) != api.CodeCorrupt || !strings.Contains(err.Error(), "vidsync peer rm "+a.self.String()) {
		t.Fatalf("fetch: %v", err)
	}
	var v api.Video
	for v = listedVideo(t, a); v.State != videoDamaged && t.Context().Err() == nil; v = listedVideo(t, a) {
		time.Sleep(10 * time.Millisecond)
	}
	if len(v.Damage) != 1 || v.Damage[0].Offset != 4*manifest.PieceSize || v.Damage[0].Length != manifest.PieceSize || v.Have != v.Size-manifest.PieceSize {
		t.Errorf("listed as %+v", v)
	}
	if c := a.checkVideos(t.Context()); c.State != checkWarning || !strings.Contains(c.Detail, "damaged at bytes 4194304 to 5242879") {
		t.Errorf("doctor says %+v", c)
	}
	if got := openDamageList(a.damage.path, a.log); len(got.files) != 1 {
		t.Errorf("stored: %+v", got.files)
	}

	if _, err := b.RemovePeer(t.Context(), a.self.String()); err != nil { // lifts the ban
		t.Fatal(err)
	}
	if _, err := fetch(10 * time.Second); api.CodeOf(err) != api.CodeUnavailable {
		t.Fatalf("with one piece kept back: %v", err)
	}
	if _, banned := b.bans.of(a.self, time.Now()); banned {
		t.Error("the bad piece was sent again")
	}
	rot(t, a, m, path, 4*manifest.PieceSize+1) // back again
	res, err := fetch(0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(res.Path); err != nil || !bytes.Equal(got, data) || res.ResumedBytes != int64(len(data)-manifest.PieceSize) {
		t.Errorf("fetched %d bytes, %d of them before: %v", len(got), res.ResumedBytes, err)
	}
	if v := listedVideo(t, a); v.State != videoWhole || a.damage.any() {
		t.Errorf("mended, and listed as %+v", v)
	}
}

// What verify finds is not served; a copy that is right still is.
func TestVerifyMarksDamage(t *testing.T) {
	n := testNode(t)
	path, data, m := addRandom(t, n, 3*manifest.PieceSize)
	rot(t, n, m, path, 1)
	verify := func() {
		t.Helper()
		if _, err := n.Verify(t.Context(), api.VerifyRequest{Refs: []string{m.CID().String()}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	held := func() int {
		have, _, err := n.lib.Holdings(m.CID())
		if err != nil {
			t.Fatal(err)
		}
		return have.Pieces()
	}
	verify()
	buf := make([]byte, manifest.PieceSize)
	if _, _, err := n.lib.Piece(t.Context(), m.CID(), 0, 0, buf, nil); err == nil || held() != 2 {
		t.Errorf("the bad piece is served (%v), %d pieces are held", err, held())
	}
	if _, _, err := n.lib.Piece(t.Context(), m.CID(), 0, 1, buf, nil); err != nil {
		t.Errorf("a good piece: %v", err)
	}
	other := filepath.Join(t.TempDir(), "copy.mp4")
	if err := os.WriteFile(other, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Add(t.Context(), api.AddRequest{Paths: []string{other}}, nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := n.lib.Piece(t.Context(), m.CID(), 0, 0, buf, nil); err != nil || held() != 3 {
		t.Errorf("with a good copy: %v, %d pieces are held", err, held())
	}
	if v := listedVideo(t, n); v.State != videoWhole || v.Path != other {
		t.Errorf("with a good copy it is listed as %+v", v)
	}
	if _, err := n.Remove(t.Context(), api.RemoveRequest{Ref: m.CID().String()}); err != nil || n.damage.any() {
		t.Errorf("removed: %v, damage is remembered: %v", err, n.damage.any())
	}
}

func TestDiskChecksAreBounded(t *testing.T) {
	checks := newDiskChecks()
	video := testVideo(t, 1).CID()
	for i := range 2 * maxDiskChecks {
		checks.add(pieceRef{video, i, 0})
		checks.add(pieceRef{video, 0, 0})
	}
	if len(checks.waiting) != maxDiskChecks {
		t.Errorf("%d checks wait", len(checks.waiting))
	}
}
