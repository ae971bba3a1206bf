package protocol_test

import (
	"io"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	corep2p "github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// tightHost counts vidsync's streams and memory for one peer, and allows no
// more of them.
func tightHost(t *testing.T, limits rcmgr.ResourceLimits) host.Host {
	t.Helper()
	limiter := rcmgr.NewFixedLimiter(rcmgr.PartialLimitConfig{
		ServicePeer: map[string]rcmgr.ResourceLimits{protocol.ServiceName: limits},
	}.Build(rcmgr.InfiniteLimits))
	resources, err := rcmgr.NewResourceManager(limiter)
	if err != nil {
		t.Fatal(err)
	}
	return newHost(t, "tcp", libp2p.ResourceManager(resources))
}

// Who is authorised is told BUSY when the resource manager allows no more. A
// stranger is refused all the same.
func TestBusyMemory(t *testing.T) {
	v := smallVideo(t)
	const oneStream, twoStreams = 160 << 10, 230 << 10 // 60 % of which may be taken, 64 KiB by each
	video, right := v.manifest.CID().Bytes(), []byte(capability)
	open, asStranger := &wire.Open{Video: video, Capability: right}, &wire.Open{Video: video}
	memory := func(n rcmgr.LimitVal64) rcmgr.ResourceLimits { return rcmgr.ResourceLimits{Memory: n} }
	one := rcmgr.ResourceLimits{Streams: 1, StreamsInbound: 1}
	busy, refused := wire.Status_STATUS_BUSY, wire.Status_STATUS_REFUSED
	for _, test := range []struct {
		name    string
		limits  rcmgr.ResourceLimits
		id      corep2p.ID
		request proto.Message
		want    wire.Status
	}{
		{"memory of pieces", memory(oneStream), protocol.PiecesID, open, busy},
		{"memory of holdings", memory(oneStream), protocol.HoldingsID, open, busy},
		{"memory of a bitmap", memory(twoStreams), protocol.HoldingsID, open, busy},
		{"memory of a manifest", memory(oneStream), protocol.ManifestID, &wire.NodeRequest{Video: video, Capability: right}, busy},
		{"memory of a stranger", memory(oneStream), protocol.PiecesID, asStranger, refused},
		{"streams", one, protocol.PiecesID, open, busy},
		{"streams of a stranger", one, protocol.HoldingsID, asStranger, refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := tightHost(t, test.limits), newHost(t, "tcp")
			connect(t, client, server)
			serve(t, server, protocol.ServerConfig{Library: newLibrary(v)})
			openedPieces(t, openRaw(t, client, server.ID(), protocol.PiecesID), v) // takes what there is
			s := openRaw(t, client, server.ID(), test.id)
			if _, err := s.Write(encode(t, test.request)); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(s)
			if err != nil {
				t.Fatal(err)
			}
			if want := encode(t, &wire.Opened{Status: test.want}); string(answer) != string(want) {
				t.Errorf("answer %x, want %x", answer, want)
			}
		})
	}
}

// A piece that there is no memory for is answered BUSY; the stream goes on.
func TestBusyMemoryOfAPiece(t *testing.T) {
	v := smallVideo(t)
	server, client := tightHost(t, rcmgr.ResourceLimits{Memory: 200 << 10}), newHost(t, "tcp")
	connect(t, client, server)
	serve(t, server, protocol.ServerConfig{Library: newLibrary(v)})
	s := openRaw(t, client, server.ID(), protocol.PiecesID)
	in := openedPieces(t, s, v)
	for id := range uint64(2) {
		if _, err := s.Write(encode(t, getRequest(id+1, 0, 0))); err != nil {
			t.Fatal(err)
		}
		var a wire.PieceAnswer
		if err := protodelim.UnmarshalFrom(in, &a); err != nil || a.Id != id+1 || a.Status != wire.Status_STATUS_BUSY {
			t.Errorf("answer %v, %v", &a, err)
		}
	}
}
