package protocol_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

// slowLink leads to a host by a way over which so many bytes a second come back.
func slowLink(t *testing.T, to host.Host, bytesPerSecond int) ma.Multiaddr {
	t.Helper()
	target, err := manet.ToNetAddr(to.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
	wg.Go(func() {
		near, err := l.Accept()
		if err != nil {
			return // the test has ended
		}
		far, err := net.Dial("tcp4", target.String())
		if err != nil {
			t.Error(err)
			near.Close()
			return
		}
		stop := context.AfterFunc(ctx, func() { near.Close(); far.Close() })
		defer stop()
		_ = far.(*net.TCPConn).SetReadBuffer(64 << 10) // or it is a link with a deep queue
		wg.Go(func() { _, _ = io.Copy(far, near); far.Close() })
		trickle(ctx, near, far, rate.NewLimiter(rate.Limit(bytesPerSecond), 16<<10))
		near.Close()
	})
	addr, err := manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func trickle(ctx context.Context, to io.Writer, from io.Reader, limit *rate.Limiter) {
	for buf := make([]byte, 16<<10); ; {
		n, err := from.Read(buf)
		if err != nil || limit.WaitN(ctx, n) != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// A client behind a slow link has all the room there is, and others wait. It is
// not taken for one that does not read, though it hears of bytes in large steps.
func TestSlowLinkIsNotAStandstill(t *testing.T) {
	v := smallVideo(t)
	server, slow, other := newHost(t, "tcp"), newHost(t, "tcp"), newHost(t, "tcp")
	serve(t, server, protocol.ServerConfig{
		Library: newLibrary(v), ServingPieces: 2, PiecesPerPeer: 2, StandstillAfter: 2 * time.Second, BusyAfter: longWait,
	})
	// Two streams share it: each hears of 1 MiB in 3.3 s.
	link := slowLink(t, server, 640<<10)
	if err := slow.Connect(t.Context(), peer.AddrInfo{ID: server.ID(), Addrs: []ma.Multiaddr{link}}); err != nil {
		t.Fatal(err)
	}
	connect(t, other, server)
	behind := run(t, slow, server.ID(), v.manifest, protocol.ClientConfig{Timeout: longWait})
	beside := run(t, other, server.ID(), v.manifest, protocol.ClientConfig{Timeout: longWait})
	g, ctx := errgroup.WithContext(t.Context())
	for i := range 8 {
		g.Go(func() error { return checkPiece(ctx, behind.Remote, v, 0, i) })
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			for n := i; ; n += 2 {
				if err := checkPiece(t.Context(), beside.Remote, v, 0, n%manifest.PiecesPerBlock); err != nil {
					t.Errorf("the other: %v", err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		t.Errorf("behind the slow link: %v", err)
	}
	close(done)
	wg.Wait()
}
