package protocol_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	corep2p "github.com/libp2p/go-libp2p/core/protocol"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

const echoID corep2p.ID = "/vidsync/test/echo"

// stockHost has TCP connections as libp2p makes them.
func stockHost(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(
		libp2p.DisableRelay(), libp2p.DisableMetrics(),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func echo(s network.Stream) {
	defer s.Close()
	_, _ = io.Copy(s, s)
}

// Connections must work with hosts that know nothing of it, either way round,
// for tiny and for large messages.
func TestConnectionsWithStockHosts(t *testing.T) {
	ours := func(t *testing.T) host.Host { return newHost(t, "tcp") }
	for name, pair := range map[string][2]func(*testing.T) host.Host{
		"we dial":   {ours, stockHost},
		"they dial": {stockHost, ours},
		"both":      {ours, ours},
	} {
		t.Run(name, func(t *testing.T) {
			dialer, listener := pair[0](t), pair[1](t)
			connect(t, dialer, listener)
			listener.SetStreamHandler(echoID, echo)
			s, err := dialer.NewStream(t.Context(), listener.ID(), echoID)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Reset()
			for _, size := range []int{1, 100, 16 << 10, 64 << 10, manifest.PieceSize + 401} {
				sent, back := make([]byte, size), make([]byte, size)
				rand.Read(sent)
				go s.Write(sent)
				if _, err := io.ReadFull(s, back); err != nil || !bytes.Equal(sent, back) {
					t.Fatalf("%d bytes: equal %v, %v", size, bytes.Equal(sent, back), err)
				}
			}
		})
	}
}

// A reader that is slow, then fast, makes yamux grow its window at bad moments;
// the sender must never be left without.
func TestWindowGrowsWithoutStandstill(t *testing.T) {
	server, client := newHosts(t, "tcp")
	const total = 96 << 20
	server.SetStreamHandler(echoID, func(s network.Stream) {
		defer s.Close()
		_, _ = s.Read(make([]byte, 1))
		_, _ = io.CopyN(s, zeros{}, total)
	})
	for _, step := range []int{4 << 10, 256<<10 - 12, 1 << 20, 5 << 20} {
		s, err := client.NewStream(t.Context(), server.ID(), echoID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, step)
		for left := total; left > 0; {
			_ = s.SetReadDeadline(time.Now().Add(longWait)) // a standstill lasts for ever
			n, err := io.ReadFull(s, buf[:min(step, left)])
			if left -= n; err != nil {
				t.Fatalf("steps of %d, %d bytes left: %v", step, left, err)
			}
		}
		_ = s.Reset()
	}
}

// zeros is an endless source of them.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// A peer's unread bytes are bounded by StreamWindow.
func TestUnreadBytesAreBounded(t *testing.T) {
	server, client := newHosts(t, "tcp")
	held := make(chan struct{})
	defer close(held)
	server.SetStreamHandler(echoID, func(s network.Stream) { <-held; _ = s.Reset() })
	s, err := client.NewStream(t.Context(), server.ID(), echoID)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Reset()
	_ = s.SetWriteDeadline(time.Now().Add(time.Second))
	n, err := io.CopyN(s, zeros{}, 2*protocol.StreamWindow)
	if err == nil || n > protocol.StreamWindow {
		t.Errorf("wrote %d bytes to one who reads none, %v; want an end at %d", n, err, protocol.StreamWindow)
	}
}
