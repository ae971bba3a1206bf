package daemon

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/manifest"
)

// meet connects a to b, which trusts it.
func meet(t *testing.T, a, b *Node) {
	t.Helper()
	anet, err := a.network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bnet, err := b.network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	info := peer.AddrInfo{ID: b.self, Addrs: bnet.host.Addrs()}
	if _, err := b.trust.add(peer.AddrInfo{ID: a.self}, ""); err != nil {
		t.Fatal(err)
	}
	if err := anet.connect(t.Context(), info); err != nil {
		t.Fatal(err)
	}
}

// twins are two nodes with the same video of two blocks, that of the first
// damaged at an offset.
func twins(t *testing.T, offset int64) (n *Node, path string, data []byte) {
	t.Helper()
	n, other := runningNode(t), runningNode(t)
	path, data, m := addRandom(t, n, manifest.BlockSize+3*manifest.PieceSize)
	whole := t.TempDir() + "/talk.mp4"
	if err := os.WriteFile(whole, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if res, err := other.Add(t.Context(), api.AddRequest{Paths: []string{whole}}, nil); err != nil || len(res.Added) != 1 {
		t.Fatal(res, err)
	}
	rot(t, n, m, path, offset)
	meet(t, n, other)
	return n, path, data
}

func TestScrubFindsAndMends(t *testing.T) {
	t.Parallel()
	n, path, data := twins(t, 2*manifest.PieceSize+5)
	s := &scrubber{node: n, every: time.Hour, pace: newPacer()}
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	if time.Until(s.at.Due) < 59*time.Minute {
		t.Errorf("the first pass of a new home is due on %v", s.at.Due)
	}
	if err := s.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.at.Found != 1 || s.at.Repaired != 1 || s.at.Bytes != int64(len(data)) {
		t.Errorf("%+v, want 1 bad piece, mended, in %d bytes", s.at, len(data))
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the file is not what it was: %v", err)
	}
	again := &scrubber{node: n, every: time.Hour, pace: newPacer()}
	if err := again.load(); err != nil || again.at.Seq != 0 || again.at.Ended.IsZero() || time.Until(again.at.Due) < 50*time.Minute {
		t.Errorf("stored: %+v, %v", again.at, err)
	}
}

// What was read before a restart is not read again.
func TestScrubGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	n, path, data := twins(t, 5)
	s := &scrubber{node: n, every: time.Hour, pace: newPacer()}
	s.at = scrubPosition{Path: path, Block: 1, Began: time.Now()}
	if err := s.save(); err != nil {
		t.Fatal(err)
	}
	s = &scrubber{node: n, every: time.Hour, pace: newPacer()}
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	if err := s.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rest := int64(len(data)) - manifest.BlockSize; s.at.Bytes != rest || s.at.Found != 0 {
		t.Errorf("read %d bytes and found %d, want %d and none", s.at.Bytes, s.at.Found, rest)
	}
}
