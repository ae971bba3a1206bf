package protocol

import (
	"net"
	"syscall"
	"time"
)

// deadAfter is how long a TCP connection may go without a sign of life, while
// data or a probe waits for one, before it counts as dead. The streams of a
// fetch end with it, so it is what a fetch loses when its path goes away.
const deadAfter = 10 * time.Second

// A connection that nothing comes over is probed after idleBefore, and then
// every probeEvery. A probe costs less than 200 bytes.
const (
	idleBefore = 5 * time.Second
	probeEvery = 2 * time.Second
)

// tcpConn is what is needed of a TCP connection, however it is wrapped.
type tcpConn interface {
	SetKeepAliveConfig(net.KeepAliveConfig) error
	SyscallConn() (syscall.RawConn, error)
}

// noticeDeath has the system end a TCP connection whose other end has gone
// silent. Where the system refuses, yamux notices after 40 s.
func noticeDeath(conn net.Conn) {
	c, ok := conn.(tcpConn)
	if !ok {
		return
	}
	_ = c.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: idleBefore, Interval: probeEvery, Count: int((deadAfter - idleBefore) / probeEvery),
	})
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(limitSilence)
	}
}
