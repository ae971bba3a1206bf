package protocol_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// A client opens all its streams, and sends Gets on them, before it has heard
// anything: a server that answers nothing until all that has come is not
// waited for.
func TestOpeningTakesOneRoundTrip(t *testing.T) {
	v := smallVideo(t)
	onEachTransport(t, func(t *testing.T, transport string) {
		server, client := newHosts(t, transport)
		var opens, gets sync.WaitGroup
		opens.Add(3)
		gets.Add(2)
		handle(t, server, protocol.HoldingsID, func(t *testing.T, s network.Stream, in *bufio.Reader) {
			opens.Done()
			opens.Wait()
			send(encode(t, goodHoldings(v)))(t, s, in)
		})
		handle(t, server, protocol.PiecesID, func(t *testing.T, s network.Stream, in *bufio.Reader) {
			opens.Done()
			var req wire.PieceRequest
			if err := protodelim.UnmarshalFrom(in, &req); err != nil {
				t.Errorf("no Get behind Open: %v", err)
				return
			}
			gets.Done()
			opens.Wait()
			gets.Wait() // one on each stream
			get := req.GetGet()
			answer := &wire.PieceAnswer{Id: get.GetId(), Status: wire.Status_STATUS_OK, Size: manifest.PieceSize, Proof: v.proof(nil, 0, int(get.GetPiece()))}
			send(encode(t, &wire.Opened{Status: wire.Status_STATUS_OK}, answer), v.piece(0, int(get.GetPiece())))(t, s, in)
		})
		r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
		g, ctx := errgroup.WithContext(t.Context())
		for i := range 2 {
			g.Go(func() error { return checkPiece(ctx, r.Remote, v, 0, i) })
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		eventually(t, "holdings", func() bool { return r.updates() == 2 })
	})
}

// A Get that was sent behind an Open that the server declines ends with the
// server's reason, and so does Run.
func TestGetBehindDeclinedOpen(t *testing.T) {
	v := smallVideo(t)
	onEachTransport(t, func(t *testing.T, transport string) {
		server, client := newHosts(t, transport)
		handle(t, server, protocol.HoldingsID, send(encode(t, goodHoldings(v))))
		server.SetStreamHandler(protocol.PiecesID, func(s network.Stream) {
			in := bufio.NewReader(s)
			var open wire.Open
			var req wire.PieceRequest
			if protodelim.UnmarshalFrom(in, &open) != nil || protodelim.UnmarshalFrom(in, &req) != nil {
				_ = s.Reset()
				return
			}
			send(encode(t, &wire.Opened{Status: wire.Status_STATUS_REFUSED}))(t, s, in)
			_ = s.Close()
		})
		r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{DataStreams: 1})
		var g errgroup.Group
		for i := range 20 { // more of them leave while the server declines
			g.Go(func() error {
				if err := checkPiece(t.Context(), r.Remote, v, 0, i); !errors.Is(err, protocol.ErrRefused) {
					return fmt.Errorf("get: %w", err)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if err := r.wait(); !errors.Is(err, protocol.ErrRefused) {
			t.Errorf("run: %v", err)
		}
	})
}

// Pieces that are asked for together are spread evenly over the data streams.
func TestDataStreamsAreBalanced(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	handle(t, server, protocol.HoldingsID, send(encode(t, goodHoldings(v))))
	var asked [4]atomic.Int32
	var streams atomic.Int32
	handle(t, server, protocol.PiecesID, func(t *testing.T, s network.Stream, in *bufio.Reader) {
		n := &asked[streams.Add(1)-1]
		send(encode(t, &wire.Opened{Status: wire.Status_STATUS_OK}))(t, s, in)
		var req wire.PieceRequest
		for protodelim.UnmarshalFrom(in, &req) == nil && req.GetGet() != nil {
			n.Add(1)
		}
	})
	r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{DataStreams: len(asked)})
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	for i := range 32 {
		g.Go(func() error { return checkPiece(ctx, r.Remote, v, 0, i) })
	}
	eventually(t, "all are asked for", func() bool {
		return asked[0].Load()+asked[1].Load()+asked[2].Load()+asked[3].Load() == 32
	})
	for i := range asked {
		if n := asked[i].Load(); n != 8 {
			t.Errorf("stream %d was asked for %d pieces, want 8", i, n)
		}
	}
	cancel()
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
