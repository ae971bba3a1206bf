package daemon_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

// flip changes one byte of a file.
func flip(t *testing.T, path string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, offset); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, offset); err != nil {
		t.Fatal(err)
	}
}

func TestEditedSourceIsNotServed(t *testing.T) {
	t.Parallel() // it mostly waits
	a, b := startNode(t), startNode(t)
	path, data := randomFile(t, "talk.mp4", oddSize, 5)
	added := a.add(t, path)
	ticket := a.ticket(t, added.CID)
	flip(t, path, 40*mib)

	videos, err := api.Collect(a.Videos(t.Context()))
	if err != nil || videos[0].State != "changed" {
		t.Fatalf("catalogue says %+v, %v", videos, err)
	}
	_, err = b.Fetch(t.Context(), api.FetchRequest{Ref: ticket, Timeout: shortWait}, nil)
	wantCode(t, err, api.CodeUnavailable)
	if _, err := os.Stat(filepath.Join(b.home, "videos", "talk.mp4")); err == nil {
		t.Error("a file bears the final name")
	}

	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	a.add(t, path) // its times are new, so it must be added again
	res, err := b.Fetch(t.Context(), api.FetchRequest{Ref: ticket}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sameFile(t, res.Path, data)
}

func TestVerifyFindsAndRepairs(t *testing.T) {
	t.Parallel() // it mostly waits
	a, b := startNode(t), startNode(t)
	path, data := randomFile(t, "talk.mp4", oddSize, 6)
	added := a.add(t, path)
	if _, err := b.Fetch(t.Context(), api.FetchRequest{Ref: a.ticket(t, added.CID)}, nil); err != nil {
		t.Fatal(err)
	}
	b.trusts(t, a)
	a.trusts(t, b)

	req := api.VerifyRequest{Refs: []string{added.CID}}
	res, err := a.Verify(t.Context(), req, nil)
	if err != nil || !res.Videos[0].OK || res.Videos[0].Bytes != oddSize {
		t.Fatalf("a sound file: %+v, %v", res, err)
	}
	flip(t, path, 40*mib)
	flip(t, path, oddSize-1)
	if res, err = a.Verify(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	bad := res.Videos[0].Bad
	if len(bad) != 2 || bad[0].Path != path || bad[0].Offset != 40*mib || bad[0].Length != mib || bad[1].Offset != 70*mib {
		t.Fatalf("verify found %+v", bad)
	}
	req.Repair = true
	if res, err = a.Verify(t.Context(), req, nil); err != nil || !res.Videos[0].OK || res.Videos[0].Repaired != 2 {
		t.Fatalf("repair: %+v, %v", res, err)
	}
	sameFile(t, path, data)
	if videos, err := api.Collect(a.Videos(t.Context())); err != nil || videos[0].State != "whole" {
		t.Errorf("after the repair: %+v, %v", videos, err)
	}
}

// liar serves one video right but for a byte of one piece in ten.
type liar struct {
	m    *manifest.Manifest
	data []byte
	out  []manifest.Outboard
}

func (l *liar) ManifestNode(context.Context, cid.Cid, []int) ([]byte, error) {
	for node, err := range l.m.Nodes() {
		return node.Data, err // a short video has one node
	}
	return nil, os.ErrNotExist
}

func (l *liar) Holdings(cid.Cid) (*manifest.Holdings, <-chan struct{}, error) {
	return manifest.AllHoldings(l.m.Size()), nil, nil
}

func (l *liar) Name(cid.Cid) string { return "talk.mp4" }

func (l *liar) Piece(_ context.Context, _ cid.Cid, block, piece int, buf, proof []byte) ([]byte, []byte, error) {
	b := l.m.Block(block)
	start := b.Offset + int64(piece)*manifest.PieceSize
	data := buf[:manifest.PieceLen(b.Len, piece)]
	copy(data, l.data[start:])
	if piece%10 == 5 {
		data[len(data)/2] ^= 1
	}
	return data, l.out[block].AppendProof(proof[:0], b.Len, piece), nil
}

type anybody struct{}

func (anybody) Authorize(peer.ID, cid.Cid, []byte) (time.Time, error) { return time.Time{}, nil }

// startLiar returns the liar's address.
func startLiar(t *testing.T, path string, data []byte) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l := &liar{data: data, out: make([]manifest.Outboard, manifest.NumBlocks(int64(len(data))))}
	l.m, err = manifest.Split(t.Context(), f, int64(len(data)), manifest.SplitConfig{
		Block: func(b manifest.Block, o manifest.Outboard) error { l.out[b.Index] = o; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var g errgroup.Group
	server := protocol.NewServer(h, protocol.ServerConfig{Library: l, Authorizer: anybody{}})
	g.Go(func() error { return server.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		g.Wait()
		h.Close()
	})
	return h.Addrs()[0].String() + "/p2p/" + h.ID().String()
}

func TestLiarIsFoundOut(t *testing.T) {
	t.Parallel() // it mostly waits
	a, b := startNode(t), startNode(t)
	path, data := randomFile(t, "talk.mp4", oddSize, 7)
	added := a.add(t, path)
	liar := startLiar(t, path, data)

	_, err := b.Fetch(t.Context(), api.FetchRequest{Ref: added.CID, Peers: []string{liar}}, nil)
	wantCode(t, err, api.CodeCorrupt, liar[len(liar)-20:], "wrong bytes")
	if _, err := os.Stat(filepath.Join(b.home, "videos", "talk.mp4")); err == nil {
		t.Error("a file bears the final name")
	}

	res, err := b.Fetch(t.Context(), api.FetchRequest{Ref: a.ticket(t, added.CID), Peers: []string{liar}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sameFile(t, res.Path, data)
	peers, err := b.Peers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	banned := 0
	for _, p := range peers {
		if p.Banned {
			banned++
		}
	}
	if banned != 1 {
		t.Errorf("%d peers are marked as banned, want the liar: %+v", banned, peers)
	}
}
