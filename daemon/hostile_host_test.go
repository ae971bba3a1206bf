package daemon_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	corep2p "github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/daemon"
	"github.com/vidsync/vidsync/protocol"
)

// plainHost is a host that is no node.
func plainHost(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func addrInfo(t *testing.T, n *testNode) peer.AddrInfo {
	t.Helper()
	info, err := peer.AddrInfoFromString(n.addr(t))
	if err != nil {
		t.Fatal(err)
	}
	return *info
}

func dial(t *testing.T, h host.Host, n *testNode) peer.ID {
	t.Helper()
	info := addrInfo(t, n)
	if err := h.Connect(t.Context(), info); err != nil {
		t.Fatal(err)
	}
	return info.ID
}

var allProtocols = []corep2p.ID{
	protocol.ManifestID, protocol.HoldingsID, protocol.PiecesID,
	protocol.CatalogueID, protocol.NoticeID, protocol.TranscriptID, protocol.PairID,
}

// Strangers that attack a node are dealt with, while somebody whom it trusts
// fetches, and cost little.
func TestHostileTableOfStrangers(t *testing.T) {
	a := startNode(t, func(c *daemon.Config) { c.Paths.Invites = c.Paths.Peers + ".invites" })
	path, data := randomFile(t, "talk.mp4", 20*mib, 60)
	added := a.add(t, path)
	for _, test := range []struct {
		name   string
		attack func(t *testing.T, a *testNode)
	}{
		{"connections that say nothing", silentConnections},
		{"connections of many peers", manyPeers},
		{"streams that say half", halfMessages},
		{"garbage on every protocol", garbage},
		{"guessing secrets", guessSecrets},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := startNode(t)
			a.trusts(t, b)
			if _, err := b.Status(t.Context()); err != nil {
				t.Fatal(err)
			}
			stop := watchHeap(t, mostHeap)
			var g errgroup.Group
			g.Go(func() error {
				_, err := b.Fetch(t.Context(), api.FetchRequest{Ref: added.CID, Peers: []string{a.addr(t)}, Output: b.home + "/out.mp4", Timeout: patience}, nil)
				return err
			})
			test.attack(t, a)
			if err := g.Wait(); err != nil {
				t.Errorf("the transfer beside it: %v", err)
			}
			stop()
			sameFile(t, b.home+"/out.mp4", data)
			trusted := 0
			peers, err := a.Peers(t.Context())
			for _, p := range peers {
				if p.Trusted {
					trusted++
				}
			}
			id, idErr := b.ID(t.Context())
			if _, rmErr := a.RemovePeer(t.Context(), id.PeerID); errors.Join(err, idErr, rmErr) != nil || trusted != 1 {
				t.Errorf("%d peers are trusted, want one: %v", trusted, errors.Join(err, idErr, rmErr))
			}
		})
	}
}

// silentConnections opens far more connections than one address may have, from
// an address of its own, and says nothing on them.
func silentConnections(t *testing.T, a *testNode) {
	target, err := manet.ToNetAddr(addrInfo(t, a).Addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: patience}
	const connections = 200
	var refused atomic.Int32
	var wg sync.WaitGroup
	defer wg.Wait()
	for range connections {
		c, err := dialer.DialContext(t.Context(), "tcp", target.String())
		if err != nil {
			t.Skipf("no second loopback address: %v", err)
		}
		defer c.Close()
		wg.Go(func() {
			_, _ = io.Copy(io.Discard, c) // what a node says first, until it closes
			refused.Add(1)
		})
	}
	eventually(t, "all but 64 connections to be refused", func() bool { return refused.Load() >= connections-64 })
}

// manyPeers connects under many names at once. What one address may have is
// TestConnectionsOfOneAddress: loopback has no such limit.
func manyPeers(t *testing.T, a *testNode) {
	info := addrInfo(t, a)
	for range 30 {
		h := plainHost(t)
		defer h.Close()
		if err := h.Connect(t.Context(), info); err != nil {
			t.Error(err)
		}
	}
}

// halfMessages opens as many streams as it can, on every protocol.
func halfMessages(t *testing.T, a *testNode) {
	h := plainHost(t)
	id := dial(t, h, a)
	opened := 0
	for range 40 {
		for _, p := range allProtocols {
			s, err := h.NewStream(t.Context(), id, p)
			if err != nil {
				continue // over a limit
			}
			_, _ = s.Write([]byte{50, 1, 2}) // fails if it is over another
			opened++
		}
	}
	if opened == 0 {
		t.Error("no stream was opened")
	}
	eventually(t, "all but 16 streams to be reset", func() bool {
		held := 0
		for _, conn := range h.Network().ConnsToPeer(id) {
			for _, s := range conn.GetStreams() {
				if _, err := s.Write([]byte{1}); err == nil {
					held++
				}
			}
		}
		return held <= 16
	})
}

// garbage says what no message begins with.
func garbage(t *testing.T, a *testNode) {
	h := plainHost(t)
	id := dial(t, h, a)
	for _, p := range allProtocols {
		for _, junk := range [][]byte{
			bytes.Repeat([]byte{0xff}, 1<<16), append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, make([]byte, 1<<16)...),
			bytes.Repeat([]byte{20, 0x0a, 0xff}, 1<<14), []byte("GET / HTTP/1.1\r\n\r\n"),
		} {
			s, err := h.NewStream(t.Context(), id, p)
			if err != nil {
				t.Fatal(err)
			}
			_ = s.SetDeadline(time.Now().Add(patience))
			_, _ = s.Write(junk) // is cut off
			_ = s.CloseWrite()
			answer := make([]byte, 100)
			n, err := s.Read(answer)
			if n > 2 || err == nil && n == 0 {
				t.Errorf("%s: %x, %v after garbage", p, answer[:n], err)
			}
			_ = s.Reset()
		}
	}
}

// guessSecrets tries to be paired, with secrets that are nobody's and one that
// has been used.
func guessSecrets(t *testing.T, a *testNode) {
	if _, err := a.Invite(t.Context(), api.InviteRequest{}); err != nil {
		t.Fatal(err)
	}
	h := plainHost(t)
	id := dial(t, h, a)
	refused := 0
	for i := range 60 {
		_, err := protocol.Pair(t.Context(), h, id, bytes.Repeat([]byte{byte(i)}, 16), "x", []ma.Multiaddr{h.Addrs()[0]}, protocol.ClientConfig{})
		switch {
		case errors.Is(err, protocol.ErrRefused):
			refused++
		case !errors.Is(err, protocol.ErrBusy):
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	if refused == 0 || refused > 10 {
		t.Errorf("%d of 60 secrets were looked at", refused)
	}
}
