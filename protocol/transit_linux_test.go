package protocol

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// overConn is a stream of which only the connection below is known.
type overConn struct {
	network.Stream
	conn network.Conn
}

func (s overConn) Conn() network.Conn { return s.conn }

type knownConn struct {
	network.Conn
	below *batchConn
}

func (c knownConn) As(target any) bool { return (&muxedConn{below: c.below}).As(target) }

// tcpPair is a connection whose far end has little room.
func tcpPair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	f, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), f.(*net.TCPConn)
}

// What a stream has written moves while the other end takes it, stands while it
// does not, and is at its end when all of it has arrived.
func TestTransit(t *testing.T) {
	near, far := tcpPair(t)
	conn := &batchConn{Conn: near}
	const size = 8 << 20
	var wg sync.WaitGroup
	defer wg.Wait()
	defer far.Close()
	wg.Go(func() { _, _ = conn.Write(make([]byte, size)) })
	for !conn.sending.Load() {
		time.Sleep(time.Millisecond)
	}
	way := newTransit(overConn{conn: knownConn{below: conn}})
	still := func(want bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if way.moves() != want {
				return
			}
		}
		t.Fatalf("moves is always %v", want)
	}
	if way.conn != conn {
		t.Fatal("the connection below is not known")
	}
	if way.moves() {
		t.Error("it moves before anything was taken")
	}
	if _, err := io.CopyN(io.Discard, far, size); err != nil {
		t.Fatal(err)
	}
	still(false) // it arrived
	still(true)  // and there is no more
	if conn.arrived() != size {
		t.Errorf("%d bytes have arrived, want %d", conn.arrived(), size)
	}
	if _, err := conn.Write(make([]byte, leastProgress)); err != nil { // of another stream
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, far, leastProgress); err != nil {
		t.Fatal(err)
	}
	if way.moves() {
		t.Error("bytes of another stream count")
	}
}
