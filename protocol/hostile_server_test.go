package protocol_test

import (
	"bufio"
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	corep2p "github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// A script is what a hostile server does once it has read Open.
type script func(t *testing.T, s network.Stream, in *bufio.Reader)

// handle runs a script for each stream of a protocol, and then leaves the
// stream open until the client ends it.
func handle(t *testing.T, h host.Host, id corep2p.ID, play script) {
	t.Helper()
	h.SetStreamHandler(id, func(s network.Stream) {
		defer s.Reset()
		_ = s.SetDeadline(time.Now().Add(longWait))
		in := bufio.NewReader(s)
		var open wire.Open
		if err := protodelim.UnmarshalFrom(in, &open); err != nil {
			return
		}
		play(t, s, in)
		for {
			if _, err := in.ReadByte(); err != nil {
				return
			}
		}
	})
}

// send is a script that writes bytes.
func send(chunks ...[]byte) script {
	return func(_ *testing.T, s network.Stream, _ *bufio.Reader) {
		_, _ = s.Write(bytes.Join(chunks, nil)) // the client may be gone
	}
}

// afterGets answers n Gets with what answer says; nil answers nothing.
func afterGets(n int, answer func(id uint64) []byte) script {
	return func(t *testing.T, s network.Stream, in *bufio.Reader) {
		send(encode(t, &wire.Opened{Status: wire.Status_STATUS_OK}))(t, s, in)
		for range n {
			var req wire.PieceRequest
			if err := protodelim.UnmarshalFrom(in, &req); err != nil {
				return
			}
			send(answer(req.GetGet().GetId()))(t, s, in)
		}
	}
}

func goodHoldings(v *video) proto.Message {
	all := manifest.AllHoldings(v.manifest.Size())
	return &wire.Holdings{Status: wire.Status_STATUS_OK, Bitmap: all.Bitmap()}
}

// hostileTimeout is a client's timeout where that is what must end the wait.
const hostileTimeout = 200 * time.Millisecond

// patience is a client's timeout where another error must come first.
func patience(breaks bool) time.Duration {
	if breaks {
		return longWait
	}
	return hostileTimeout
}

func TestHostilePieceServers(t *testing.T) {
	v := smallVideo(t)
	size, proof := uint32(manifest.PieceSize), v.proof(nil, 0, 0)
	answer := func(edit func(a *wire.PieceAnswer)) func(uint64) []byte {
		return func(id uint64) []byte {
			a := &wire.PieceAnswer{Id: id, Status: wire.Status_STATUS_OK, Size: size, Proof: proof}
			edit(a)
			return encode(t, a)
		}
	}
	good := answer(func(*wire.PieceAnswer) {})
	then := func(header func(uint64) []byte, more []byte) func(uint64) []byte {
		return func(id uint64) []byte { return append(header(id), more...) }
	}
	raw := func(b []byte) func(uint64) []byte { return func(uint64) []byte { return b } }
	for _, test := range []struct {
		name   string
		answer func(id uint64) []byte
		breaks bool // the rules; else it is only slow or cut short
	}{
		{"oversize length", raw([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}), true},
		{"endless header", raw(bytes.Repeat([]byte{0xff}, 100)), true},
		{"zero-length answer", raw([]byte{0}), true},
		{"garbage", raw([]byte{4, 0xff, 0xff, 0xff, 0xff}), true},
		{"unknown id", answer(func(a *wire.PieceAnswer) { a.Id += 7 }), true},
		{"no status", answer(func(a *wire.PieceAnswer) { a.Status = 0 }), true},
		{"size too small", answer(func(a *wire.PieceAnswer) { a.Size-- }), true},
		{"size too large", answer(func(a *wire.PieceAnswer) { a.Size++ }), true},
		{"size huge", answer(func(a *wire.PieceAnswer) { a.Size = 1<<32 - 1 }), true},
		{"size zero", answer(func(a *wire.PieceAnswer) { a.Size = 0 }), true},
		{"short proof", answer(func(a *wire.PieceAnswer) { a.Proof = proof[64:] }), true},
		{"long proof", answer(func(a *wire.PieceAnswer) { a.Proof = append(proof, proof[:64]...) }), true},
		{"cancelled without a cancel", answer(func(a *wire.PieceAnswer) {
			*a = wire.PieceAnswer{Id: a.Id, Status: wire.Status_STATUS_CANCELLED}
		}), true},
		{"bytes after an error", answer(func(a *wire.PieceAnswer) { a.Status = wire.Status_STATUS_NOT_FOUND }), true},
		{"answer twice", then(then(good, v.piece(0, 0)), encode(t, &wire.PieceAnswer{Id: 1, Status: wire.Status_STATUS_BUSY})), true},
		{"silence", raw(nil), false},
		{"half a header", func(id uint64) []byte { return good(id)[:20] }, false},
		{"short body then stall", then(good, make([]byte, 700_000)), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "tcp")
			handle(t, server, protocol.HoldingsID, send(encode(t, goodHoldings(v))))
			handle(t, server, protocol.PiecesID, afterGets(1, test.answer))
			r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{Timeout: patience(test.breaks)})
			_, _, release, err := r.Get(t.Context(), 0, 0)
			if err == nil {
				release() // the answer was right, what came after it was not
			} else if !errors.Is(err, protocol.ErrClosed) || errors.Is(err, protocol.ErrProtocol) != test.breaks {
				t.Errorf("get: %v", err)
			}
			if err := r.wait(); err == nil || errors.Is(err, protocol.ErrProtocol) != test.breaks {
				t.Errorf("run ended with %v", err)
			}
		})
	}
}

func TestServerResetsInABody(t *testing.T) {
	v := smallVideo(t)
	onEachTransport(t, func(t *testing.T, transport string) {
		server, client := newHosts(t, transport)
		handle(t, server, protocol.HoldingsID, send(encode(t, goodHoldings(v))))
		handle(t, server, protocol.PiecesID, func(t *testing.T, s network.Stream, in *bufio.Reader) {
			afterGets(1, func(id uint64) []byte {
				a := &wire.PieceAnswer{Id: id, Status: wire.Status_STATUS_OK, Size: manifest.PieceSize, Proof: v.proof(nil, 0, 0)}
				return append(encode(t, a), make([]byte, 500_000)...)
			})(t, s, in)
			_ = s.Reset()
		})
		r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
		if _, _, _, err := r.Get(t.Context(), 0, 0); !errors.Is(err, protocol.ErrClosed) {
			t.Errorf("get: %v", err)
		}
		if err := r.wait(); !errors.Is(err, network.ErrReset) {
			t.Errorf("run: %v", err)
		}
	})
}

// A server that sends a byte now and then makes no progress that counts.
func TestSlowServer(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	handle(t, server, protocol.HoldingsID, send(encode(t, goodHoldings(v))))
	handle(t, server, protocol.PiecesID, func(t *testing.T, s network.Stream, in *bufio.Reader) {
		afterGets(1, func(id uint64) []byte {
			return encode(t, &wire.PieceAnswer{Id: id, Status: wire.Status_STATUS_OK, Size: manifest.PieceSize, Proof: v.proof(nil, 0, 0)})
		})(t, s, in)
		for {
			if _, err := s.Write([]byte{0}); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{Timeout: hostileTimeout})
	if _, _, _, err := r.Get(t.Context(), 0, 0); !errors.Is(err, protocol.ErrClosed) {
		t.Errorf("get: %v", err)
	}
	if err := r.wait(); err == nil {
		t.Error("run ended without an error")
	}
}

func TestHostileHoldingsServers(t *testing.T) {
	v := smallVideo(t)
	ok := wire.Status_STATUS_OK
	good := encode(t, goodHoldings(v))
	masks := func(block, mask uint32) []*wire.BlockMask { return []*wire.BlockMask{{Block: block, Mask: mask}} }
	change := func(block, mask uint32) []byte {
		return append(bytes.Clone(good), encode(t, &wire.HoldingsChange{Changed: masks(block, mask)})...)
	}
	for _, test := range []struct {
		name   string
		send   []byte
		breaks bool
	}{
		{"short bitmap", encode(t, &wire.Holdings{Status: ok}), true},
		{"long bitmap", encode(t, &wire.Holdings{Status: ok, Bitmap: []byte{3, 0}}), true},
		{"bits beyond the last block", encode(t, &wire.Holdings{Status: ok, Bitmap: []byte{7}}), true},
		{"partial block beyond the last", encode(t, &wire.Holdings{Status: ok, Bitmap: []byte{0}, Partial: masks(2, 1)}), true},
		{"partial mask beyond the last piece", encode(t, &wire.Holdings{Status: ok, Bitmap: []byte{0}, Partial: masks(1, 8)}), true},
		{"zero-length", []byte{0}, true},
		{"oversize", []byte{0xff, 0xff, 0x7f}, true},
		{"half", good[:2], false},
		{"nothing", nil, false},
		{"unknown status", encode(t, &wire.Holdings{Status: 99}), false},
		{"changed block beyond the last", change(1<<31, 1), true},
		{"changed mask beyond the last piece", change(1, 1<<31), true},
		{"oversize change", append(bytes.Clone(good), 0xff, 0xff, 0x7f), true},
		{"half a change", change(0, 1)[:len(good)+3], false},
		{"garbage change", append(bytes.Clone(good), 3, 0xff, 0xff, 0xff), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "tcp")
			handle(t, server, protocol.PiecesID, send(encode(t, &wire.Opened{Status: ok})))
			handle(t, server, protocol.HoldingsID, send(test.send))
			r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{Timeout: patience(test.breaks)})
			if err := r.wait(); err == nil || errors.Is(err, protocol.ErrProtocol) != test.breaks {
				t.Errorf("run ended with %v", err)
			}
		})
	}
}

// A flood of changes is taken at a bounded pace; the rest waits on the wire.
func TestFloodOfChanges(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	handle(t, server, protocol.PiecesID, send(encode(t, &wire.Opened{Status: wire.Status_STATUS_OK})))
	flood := bytes.Repeat(encode(t, &wire.HoldingsChange{Changed: []*wire.BlockMask{{Block: 0, Mask: 1}}}), 10_000)
	handle(t, server, protocol.HoldingsID, send(encode(t, goodHoldings(v)), flood))
	start := time.Now()
	r := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
	eventually(t, "some changes", func() bool { return r.updates() >= 8 })
	n := r.updates()
	if most := 10 + int(time.Since(start)/(50*time.Millisecond)); n > most {
		t.Errorf("%d updates, want at most %d", n, most)
	}
}

func TestHostileManifestServers(t *testing.T) {
	v := splitVideo(t, 8, []byte("vidsync\n"), nil)
	node := v.nodes[v.manifest.CID()]
	ok := wire.Status_STATUS_OK
	for _, test := range []struct {
		name string
		send []byte
		want error // nil: any
	}{
		{"other bytes", append(encode(t, &wire.NodeAnswer{Status: ok, Size: 5}), "hello"...), manifest.ErrCorrupt},
		{"size zero", encode(t, &wire.NodeAnswer{Status: ok}), protocol.ErrProtocol},
		{"size over the limit", encode(t, &wire.NodeAnswer{Status: ok, Size: manifest.MaxNodeBytes + 1}), protocol.ErrProtocol},
		{"size huge", encode(t, &wire.NodeAnswer{Status: ok, Size: 1<<32 - 1}), protocol.ErrProtocol},
		{"zero-length", []byte{0}, protocol.ErrProtocol},
		{"short body then stall", append(encode(t, &wire.NodeAnswer{Status: ok, Size: uint32(len(node))}), node[:9]...), nil},
		{"silence", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "tcp")
			handle(t, server, protocol.ManifestID, send(test.send))
			r := protocol.NewRemote(client, server.ID(), v.manifest.CID(), nil, protocol.ClientConfig{Timeout: patience(test.want != nil)})
			if _, err := r.Manifest(t.Context()); err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
