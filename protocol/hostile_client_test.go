package protocol_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	corep2p "github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

func encode(t testing.TB, messages ...proto.Message) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, m := range messages {
		if _, err := protodelim.MarshalTo(&out, m); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func getRequest(id uint64, block, piece uint32) *wire.PieceRequest {
	return &wire.PieceRequest{Kind: &wire.PieceRequest_Get{Get: &wire.Get{Id: id, Block: block, Piece: piece}}}
}

func cancelRequest(id uint64) *wire.PieceRequest {
	return &wire.PieceRequest{Kind: &wire.PieceRequest_Cancel{Cancel: &wire.Cancel{Id: id}}}
}

// Peers that break the rules are reset, in time, and the server goes on.
func TestHostileClients(t *testing.T) {
	v := smallVideo(t)
	open := encode(t, &wire.Open{Video: v.manifest.CID().Bytes(), Capability: []byte(capability)})
	longCapability := encode(t, &wire.Open{Video: v.manifest.CID().Bytes(), Capability: make([]byte, protocol.MaxOpenBytes)})
	opened := func(more ...[]byte) []byte { return append(bytes.Clone(open), bytes.Join(more, nil)...) }
	cancels := bytes.Repeat(encode(t, cancelRequest(1)), protocol.MaxExtraRequests+1)
	const violation, timeout = network.StreamProtocolViolation, network.StreamNoError
	for _, test := range []struct {
		name string
		id   corep2p.ID
		send []byte
		code network.StreamErrorCode
	}{
		{"nothing", protocol.PiecesID, nil, timeout},
		{"half an open", protocol.PiecesID, open[:len(open)/2], timeout},
		{"oversize length", protocol.PiecesID, []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, violation},
		{"length of 2^63", protocol.HoldingsID, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, violation},
		{"endless header", protocol.ManifestID, bytes.Repeat([]byte{0x80}, 1000), violation},
		{"garbage", protocol.HoldingsID, []byte{5, 0xff, 0xff, 0xff, 0xff, 0xff}, violation},
		{"over the open limit", protocol.HoldingsID, longCapability, violation},
		{"bytes after open", protocol.HoldingsID, opened([]byte{0}), violation},
		{"half a request", protocol.PiecesID, opened(encode(t, getRequest(1, 0, 0))[:3]), timeout},
		{"oversize request", protocol.PiecesID, opened([]byte{0x81, 0x02}), violation},
		{"garbage request", protocol.PiecesID, opened([]byte{3, 0x0a, 0x70, 0x01}), violation},
		{"duplicate id", protocol.PiecesID, opened(encode(t, getRequest(4, 0, 0), getRequest(4, 0, 1))), violation},
		{"id going back", protocol.PiecesID, opened(encode(t, getRequest(4, 0, 0), getRequest(3, 0, 1))), violation},
		{"id zero", protocol.PiecesID, opened(encode(t, getRequest(0, 0, 0))), violation},
		{"flood of cancels", protocol.PiecesID, opened(cancels), violation},
		{"flood of nothing", protocol.PiecesID, opened(make([]byte, protocol.MaxExtraRequests+1)), violation},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "tcp")
			patience := longWait
			if test.code == timeout {
				patience = time.Second
			}
			serve(t, server, protocol.ServerConfig{Library: newLibrary(v), Timeout: patience})
			s := openRaw(t, client, server.ID(), test.id)
			if _, err := s.Write(test.send); err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, s)
			reset, ok := errors.AsType[*network.StreamError](err)
			if !ok || !reset.Remote || reset.ErrorCode != test.code {
				t.Errorf("stream ended with %v, want a reset with code %#x", err, test.code)
			}
			if n > 3*manifest.PieceSize {
				t.Errorf("the server sent %d bytes", n)
			}
			honest := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
			if err := checkPiece(t.Context(), honest.Remote, v, 1, 0); err != nil {
				t.Errorf("after that: %v", err)
			}
		})
	}
}

// Requests that make no sense, or that the peer may not make, are answered by
// a status, after which the stream ends.
func TestDeclined(t *testing.T) {
	v := smallVideo(t)
	video := v.manifest.CID().Bytes()
	right := []byte(capability)
	for _, test := range []struct {
		name    string
		id      corep2p.ID
		request proto.Message
		want    wire.Status
	}{
		{"no CID", protocol.PiecesID, &wire.Open{Capability: right}, wire.Status_STATUS_INVALID},
		{"CID of a block", protocol.HoldingsID, &wire.Open{Video: v.manifest.Block(0).CID().Bytes(), Capability: right}, wire.Status_STATUS_INVALID},
		{"long capability", protocol.PiecesID, &wire.Open{Video: video, Capability: make([]byte, protocol.MaxCapabilityBytes+1)}, wire.Status_STATUS_INVALID},
		{"refused pieces", protocol.PiecesID, &wire.Open{Video: video}, wire.Status_STATUS_REFUSED},
		{"refused holdings", protocol.HoldingsID, &wire.Open{Video: video}, wire.Status_STATUS_REFUSED},
		{"refused manifest", protocol.ManifestID, &wire.NodeRequest{Video: video}, wire.Status_STATUS_REFUSED},
		{"refused with a bad path", protocol.ManifestID, &wire.NodeRequest{Video: video, Path: []uint32{1, 2, 3}}, wire.Status_STATUS_REFUSED},
		{"long path", protocol.ManifestID, &wire.NodeRequest{Video: video, Capability: right, Path: []uint32{1, 2, 3}}, wire.Status_STATUS_INVALID},
		{"link out of range", protocol.ManifestID, &wire.NodeRequest{Video: video, Capability: right, Path: []uint32{1 << 31}}, wire.Status_STATUS_INVALID},
		{"no such node", protocol.ManifestID, &wire.NodeRequest{Video: video, Capability: right, Path: []uint32{0}}, wire.Status_STATUS_NOT_FOUND},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "quic")
			serve(t, server, protocol.ServerConfig{Library: newLibrary(v)})
			s := openRaw(t, client, server.ID(), test.id)
			if _, err := s.Write(encode(t, test.request)); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(s)
			if err != nil {
				t.Fatal(err)
			}
			// The status has field 1 in every first answer.
			if want := encode(t, &wire.Opened{Status: test.want}); !bytes.Equal(answer, want) {
				t.Errorf("answer %x, want %x", answer, want)
			}
		})
	}
}

// openedPieces is a raw pieces stream on which Open was answered.
func openedPieces(t *testing.T, s network.Stream, v *video) *bufio.Reader {
	t.Helper()
	if _, err := s.Write(encode(t, &wire.Open{Video: v.manifest.CID().Bytes(), Capability: []byte(capability)})); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(s)
	var opened wire.Opened
	if err := protodelim.UnmarshalFrom(in, &opened); err != nil || opened.Status != wire.Status_STATUS_OK {
		t.Fatalf("opened: %v, %v", &opened, err)
	}
	return in
}

func TestImpossiblePieceIsInvalid(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: newLibrary(v)})
	s := openRaw(t, client, server.ID(), protocol.PiecesID)
	in := openedPieces(t, s, v)
	for i, at := range [][2]uint32{{2, 0}, {1, 3}, {0, 32}, {0, 1 << 31}, {1 << 31, 0}, {1<<32 - 1, 1<<32 - 1}} {
		id := uint64(i + 1)
		if _, err := s.Write(encode(t, getRequest(id, at[0], at[1]))); err != nil {
			t.Fatal(err)
		}
		var a wire.PieceAnswer
		if err := protodelim.UnmarshalFrom(in, &a); err != nil {
			t.Fatal(err)
		}
		if a.Id != id || a.Status != wire.Status_STATUS_INVALID || a.Size != 0 {
			t.Errorf("answer to %v: %v", at, &a)
		}
	}
}

// A request of a kind that this version does not know is passed over.
func TestNewerRequestIsIgnored(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Library: newLibrary(v)})
	s := openRaw(t, client, server.ID(), protocol.PiecesID)
	in := openedPieces(t, s, v)
	newer := []byte{4, 0xa2, 0x06, 1, 'x'} // field 100
	if _, err := s.Write(append(newer, encode(t, getRequest(1, 1, 2))...)); err != nil {
		t.Fatal(err)
	}
	var a wire.PieceAnswer
	if err := protodelim.UnmarshalFrom(in, &a); err != nil || a.Status != wire.Status_STATUS_OK {
		t.Fatalf("answer %v, %v", &a, err)
	}
	data := make([]byte, a.Size)
	if _, err := io.ReadFull(in, data); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, v.piece(1, 2)) {
		t.Error("wrong piece")
	}
}

// A client that asks for much and reads nothing is reset; what the server
// holds for it meanwhile is one piece and a bounded queue.
func TestClientThatDoesNotRead(t *testing.T) {
	v := smallVideo(t)
	onEachTransport(t, func(t *testing.T, transport string) {
		server, client := newHosts(t, transport)
		lib := newLibrary(v)
		serve(t, server, protocol.ServerConfig{Library: lib, Timeout: time.Second})
		s := openRaw(t, client, server.ID(), protocol.PiecesID)
		openedPieces(t, s, v)
		for id := uint64(1); ; id++ {
			if _, err := s.Write(encode(t, getRequest(id, 0, uint32(id%32)))); err != nil {
				if reset, ok := errors.AsType[*network.StreamError](err); !ok || !reset.Remote {
					t.Errorf("write ended with %v", err)
				}
				break
			}
		}
		lib.mu.Lock()
		defer lib.mu.Unlock()
		if lib.calls > 64 { // windows and send queues take some MiB
			t.Errorf("the server read %d pieces for nobody", lib.calls)
		}
	})
}

func TestFloodOfStreams(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	other := newHost(t, "tcp")
	connect(t, other, server)
	serve(t, server, protocol.ServerConfig{Library: newLibrary(v), Timeout: longWait, OpeningPerPeer: 4})
	var streams []network.Stream
	for range 40 {
		s := openRaw(t, client, server.ID(), protocol.PiecesID)
		_, _ = s.Write([]byte{50}) // half an Open; fails if the reset was quicker
		streams = append(streams, s)
	}
	honest := run(t, other, server.ID(), v.manifest, protocol.ClientConfig{})
	if err := checkPiece(t.Context(), honest.Remote, v, 1, 0); err != nil {
		t.Errorf("another peer meanwhile: %v", err)
	}
	var limited atomic.Int32
	var wg sync.WaitGroup
	for _, s := range streams {
		wg.Go(func() {
			_, err := s.Read(make([]byte, 1))
			if reset, ok := errors.AsType[*network.StreamError](err); ok && reset.ErrorCode == network.StreamRateLimited {
				limited.Add(1)
			}
		})
	}
	eventually(t, "streams beyond the limit to be reset", func() bool { return limited.Load() >= 36 })
	for _, s := range streams {
		_ = s.Reset()
	}
	wg.Wait()
	if n := limited.Load(); n != 36 {
		t.Errorf("%d of 40 streams were reset, want 36", n)
	}
}
