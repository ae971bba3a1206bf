package protocol

import (
	"net"
	"testing"

	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/sys/unix"
)

// A TCP connection as libp2p hands it over must have the options that end it
// when the other end is silent.
func TestNoticeDeath(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	plain, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	conn, err := manet.WrapNetConn(plain)
	if err != nil {
		t.Fatal(err)
	}
	noticeDeath(conn)
	raw, err := plain.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[int]int{unix.TCP_USER_TIMEOUT: 10_000, unix.TCP_KEEPIDLE: 5, unix.TCP_KEEPINTVL: 2} {
		var got int
		ctlErr := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option) })
		if ctlErr != nil || err != nil || got != want {
			t.Errorf("option %d is %d, want %d (%v, %v)", option, got, want, ctlErr, err)
		}
	}
}
