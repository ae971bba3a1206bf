package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/sync/errgroup"
)

const (
	// probeTimeout is how long a connection that is suspected to be dead has to
	// answer. Data that waits to be sent before the question counts in.
	probeTimeout = 5 * time.Second
	maxProbes    = 16  // at once
	maxSuspects  = 256 // that wait; those beyond end when the system notices
)

// suspect has a connection probed: it may have died without a word. It does not
// block.
func (n *network) suspect(conn libp2pnet.Conn) {
	select {
	case n.suspects <- conn:
	default:
	}
}

// suspectOthers is called when a peer has connected: one that is connected
// already may have come back by another way.
func (n *network) suspectOthers(_ libp2pnet.Network, newest libp2pnet.Conn) {
	for _, conn := range n.host.Network().ConnsToPeer(newest.RemotePeer()) {
		if conn != newest {
			n.suspect(conn)
		}
	}
}

// suspectMoved has the connections to a peer probed if none leads to an address
// that it announces now.
func (n *network) suspectMoved(conns []libp2pnet.Conn, announced []ma.Multiaddr) {
	for _, conn := range conns {
		from, err := manet.ToIP(conn.RemoteMultiaddr())
		stays := slices.ContainsFunc(announced, func(a ma.Multiaddr) bool {
			ip, ipErr := manet.ToIP(a)
			return ipErr == nil && ip.Equal(from)
		})
		if err == nil && !stays {
			n.suspect(conn)
		}
	}
}

// probeSuspects ends the suspected connections that are dead, until ctx ends.
// What uses a live one notices nothing.
func (n *network) probeSuspects(ctx context.Context) error {
	events := &libp2pnet.NotifyBundle{
		ConnectedF:    n.suspectOthers,
		DisconnectedF: func(libp2pnet.Network, libp2pnet.Conn) { notify(n.stirred) },
	}
	n.host.Network().Notify(events)
	defer n.host.Network().StopNotify(events)
	var g errgroup.Group
	g.SetLimit(maxProbes)
	for {
		select {
		case <-ctx.Done():
			_ = g.Wait() // no error comes out of it
			return ctx.Err()
		case conn := <-n.suspects:
			g.Go(func() error {
				n.probe(ctx, conn)
				return nil
			})
		}
	}
}

// probe ends a connection that does not answer, or that comes from an address
// which this machine has no more.
func (n *network) probe(ctx context.Context, conn libp2pnet.Conn) {
	if conn.IsClosed() || conn.Stat().Limited {
		return
	}
	why := "its own address is gone"
	if !n.interfaces.lost(conn.LocalMultiaddr()) {
		if !silent(ctx, conn) {
			return
		}
		why = "it does not answer"
	}
	n.log.Info("connection is dead", "peer", conn.RemotePeer(), "local", conn.LocalMultiaddr(), "remote", conn.RemoteMultiaddr(), "reason", why)
	if err := conn.Close(); err != nil {
		n.log.Debug("close connection", "peer", conn.RemotePeer(), "error", err)
	}
}

// multistream is what either end of a new stream says first, whatever the stream
// is for.
const multistream = "\x13/multistream/1.0.0\n"

// silent tells whether a connection leaves the beginning of a stream without an
// answer. Refusing it is one.
func silent(ctx context.Context, conn libp2pnet.Conn) bool {
	_, err := roundTrip(ctx, conn, probeTimeout)
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() && !conn.IsClosed()
}

// roundTrip measures how long a question and its answer take.
func roundTrip(ctx context.Context, conn libp2pnet.Conn, within time.Duration) (time.Duration, error) {
	opening, cancel := context.WithTimeout(libp2pnet.WithNoDial(ctx, "round trip"), within)
	defer cancel()
	started := time.Now()
	s, err := conn.NewStream(opening)
	if err != nil {
		return 0, fmt.Errorf("open stream: %v", err) // no word of the other end: a limit here, as a rule
	}
	defer func() { _ = s.Reset() }()
	_ = s.SetDeadline(started.Add(within))
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	if _, err := s.Write([]byte(multistream)); err != nil {
		return 0, err
	}
	_, err = io.ReadFull(s, make([]byte, len(multistream)))
	return time.Since(started), err
}
