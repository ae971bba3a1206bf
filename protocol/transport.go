package protocol

import (
	"context"
	"net"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

// StreamWindow is how many bytes a peer may send on a stream before any were
// read: two pieces, so that the first one comes without a wait for more
// window. It is memory that a peer can make this node hold for each stream, and
// the resource manager does not see it: limit streams with it in mind.
//
// It must be the maximum (libp2p's 16 MiB) divided by a power of two: go-yamux
// doubles the window and, each time, forgets to tell the sender about what it
// grants at first. After a step of less than double, the sender could end up
// with less than the half of a window that has to be read before it is told
// of more, and both would wait for ever.
const StreamWindow = 2 << 20

// maxFrame is the most that yamux sends as one message. Its own 64 KiB cost a
// fifth more processor time on both ends.
const maxFrame = 256 << 10

// Connections makes a host's TCP connections fit for pieces: TLS over a
// connection that is read and written in large steps, and yamux with larger
// messages and windows. A connection whose other end has gone silent ends after
// 10 s. Other nodes notice nothing of it.
func Connections() libp2p.Option {
	mux := *yamux.DefaultTransport
	mux.InitialStreamWindowSize = StreamWindow
	mux.MaxMessageSize = maxFrame
	return libp2p.ChainOptions(
		libp2p.Security(libp2ptls.ID, newBatchedTLS),
		libp2p.Muxer(yamux.ID, muxer{&mux}),
	)
}

// batchedTLS is libp2p's TLS over batchConns.
type batchedTLS struct {
	*libp2ptls.Transport
}

func newBatchedTLS(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (*batchedTLS, error) {
	t, err := libp2ptls.New(id, key, muxers)
	return &batchedTLS{t}, err
}

// SecureInbound implements sec.SecureTransport.
func (t *batchedTLS) SecureInbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	return batched(insecure, func(conn net.Conn) (sec.SecureConn, error) { return t.Transport.SecureInbound(ctx, conn, p) })
}

// SecureOutbound implements sec.SecureTransport.
func (t *batchedTLS) SecureOutbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	return batched(insecure, func(conn net.Conn) (sec.SecureConn, error) { return t.Transport.SecureOutbound(ctx, conn, p) })
}

func batched(insecure net.Conn, secure func(net.Conn) (sec.SecureConn, error)) (sec.SecureConn, error) {
	noticeDeath(insecure)
	conn := &batchConn{Conn: insecure}
	s, err := secure(conn)
	if err != nil {
		return nil, err
	}
	return &batchedSecure{SecureConn: s, conn: conn}, nil
}
