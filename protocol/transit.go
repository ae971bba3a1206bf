package protocol

import (
	"net"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
)

// maxQueued is the most that yamux holds back of what streams have written: 64
// messages.
const maxQueued = 64 * maxFrame

// transit follows what a stream has written on its way to the other end. On a
// slow link that takes long: yamux takes as much as the stream's window at once,
// and the other end grants more in steps of half of it. A stream that waits for
// such a step does not stand still while its bytes still arrive.
type transit struct {
	conn    *batchConn // nil: nothing is known
	end     int64      // all that the stream has written is before that byte of the connection
	sent    int64      // on the connection, at the last look
	arrived int64      // when it last was progress
}

// newTransit follows what s has written until now.
func newTransit(s network.Stream) *transit {
	t := &transit{}
	if !s.Conn().As(&t.conn) {
		return t
	}
	t.sent = t.conn.sent.Load()
	t.end = t.sent + maxQueued
	t.arrived = t.conn.arrived()
	return t
}

// moves tells whether some of what the stream has written has arrived since
// moves last said so, enough to count.
func (t *transit) moves() bool {
	if t.conn == nil {
		return false
	}
	sent := t.conn.sent.Load()
	if sent == t.sent && !t.conn.sending.Load() {
		t.end = min(t.end, sent) // yamux holds nothing back
	}
	t.sent = sent
	now := t.conn.arrived()
	if t.arrived >= t.end || now-t.arrived < leastProgress {
		return false
	}
	t.arrived = now
	return true
}

// arrived is how many of the bytes sent the other end's system has, for all that
// this one knows.
func (c *batchConn) arrived() int64 {
	sent := c.sent.Load() // first: what is sent meanwhile may only make it less
	raw, ok := c.Conn.(tcpConn)
	if !ok {
		return 0
	}
	conn, err := raw.SyscallConn()
	if err != nil {
		return 0
	}
	waiting := sent
	if err := conn.Control(func(fd uintptr) { waiting = unacknowledged(fd, sent) }); err != nil {
		return 0
	}
	return max(sent-waiting, 0)
}

// muxer is yamux whose connections give away, by As, the batchConn below.
type muxer struct{ *yamux.Transport }

// NewConn implements network.Multiplexer.
func (m muxer) NewConn(nc net.Conn, isServer bool, scope network.PeerScope) (network.MuxedConn, error) {
	c, err := m.Transport.NewConn(nc, isServer, scope)
	secure, ok := nc.(*batchedSecure)
	if err != nil || !ok {
		return c, err
	}
	return &muxedConn{MuxedConn: c, below: secure.conn}, nil
}

type muxedConn struct {
	network.MuxedConn
	below *batchConn
}

// As implements network.MuxedConn.
func (c *muxedConn) As(target any) bool {
	if below, ok := target.(**batchConn); ok {
		*below = c.below
		return true
	}
	return c.MuxedConn.As(target)
}
