package daemon

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/vidsync/vidsync/protocol"
)

// pipe passes on what comes over one TCP connection, until it is held.
type pipe struct {
	net.Listener
	held sync.Mutex
}

func newPipe(t *testing.T, to string) *pipe {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pipe{Listener: l}
	var wg sync.WaitGroup
	wg.Go(func() {
		near, err := l.Accept()
		if err != nil {
			return
		}
		defer near.Close()
		far, err := net.Dial("tcp4", to)
		if err != nil {
			return
		}
		defer far.Close()
		wg.Go(func() { p.pass(near, far) })
		p.pass(far, near)
	})
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { _ = l.Close() })
	return p
}

func (p *pipe) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		p.held.Lock()
		_, writeErr := to.Write(buf[:n])
		p.held.Unlock()
		if err != nil || writeErr != nil {
			return
		}
	}
}

func quietHost(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.DisableRelay(), libp2p.DisableMetrics(), protocol.Connections(), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// A connection over which nothing comes any more is ended once it is suspected;
// one that lives is left alone.
func TestSuspects(t *testing.T) {
	here, there := quietHost(t), quietHost(t)
	addr, err := manet.ToNetAddr(there.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	p := newPipe(t, addr.String())
	via, err := manet.FromNetAddr(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := here.Connect(t.Context(), peer.AddrInfo{ID: there.ID(), Addrs: append(there.Addrs()[:0:0], via)}); err != nil {
		t.Fatal(err)
	}
	conn := here.Network().ConnsToPeer(there.ID())[0]
	if silent(t.Context(), conn) {
		t.Fatal("a live connection counts as dead")
	}
	if rtt, err := roundTrip(t.Context(), conn, probeTimeout); err != nil || rtt <= 0 {
		t.Fatalf("round trip %v, %v", rtt, err)
	}

	n := &network{host: here, log: slog.New(slog.DiscardHandler), interfaces: newInterfaces(), suspects: make(chan libp2pnet.Conn, 1), stirred: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.probeSuspects(ctx) }()
	p.held.Lock()
	n.suspect(conn)
	<-n.stirred // as it is closed
	p.held.Unlock()
	if !conn.IsClosed() {
		t.Error("the dead connection is still there")
	}
	cancel()
	<-ended
}
