package protocol_test

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	corep2p "github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// manifestOf answers for a video whose manifest is one node.
func manifestOf(t *testing.T, v *video) []byte {
	node := v.nodes[v.manifest.CID()]
	return append(encode(t, &wire.NodeAnswer{Status: wire.Status_STATUS_OK, Size: uint32(len(node))}), node...)
}

func begin(t *testing.T, client, server host.Host, v *video, cfg protocol.ClientConfig) (*protocol.Remote, error) {
	t.Helper()
	r := protocol.NewRemote(client, server.ID(), v.manifest.CID(), []byte(capability), cfg)
	_, err := r.Begin(t.Context())
	return r, err
}

// runUntil runs r until it has reported a block, and returns why it ended.
func runUntil(t *testing.T, r *protocol.Remote, then func(ctx context.Context)) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var told sync.Once
	var wg sync.WaitGroup
	defer wg.Wait()
	return r.Run(ctx, func(int, uint32) {
		told.Do(func() {
			wg.Go(func() {
				defer cancel()
				then(ctx)
			})
		})
	})
}

// Begin opens all streams before it has heard anything, and Run uses them: a
// server that answers nothing until all that has come is not waited for, and sees
// no further stream.
func TestBeginTakesOneRoundTrip(t *testing.T) {
	v := smallVideo(t)
	onEachTransport(t, func(t *testing.T, transport string) {
		server, client := newHosts(t, transport)
		var opens sync.WaitGroup
		var streams atomic.Int32
		opens.Add(4)
		arrived := func() {
			if streams.Add(1) <= 4 {
				opens.Done()
			}
			opens.Wait()
		}
		handle(t, server, protocol.ManifestID, func(t *testing.T, s network.Stream, in *bufio.Reader) {
			arrived()
			send(manifestOf(t, v))(t, s, in)
		})
		handle(t, server, protocol.HoldingsID, func(t *testing.T, s network.Stream, in *bufio.Reader) {
			arrived()
			send(encode(t, goodHoldings(v)))(t, s, in)
		})
		handle(t, server, protocol.PiecesID, func(t *testing.T, s network.Stream, in *bufio.Reader) {
			arrived()
			afterGets(1, func(id uint64) []byte {
				answer := &wire.PieceAnswer{Id: id, Status: wire.Status_STATUS_OK, Size: manifest.PieceSize, Proof: v.proof(nil, 0, 0)}
				return append(encode(t, answer), v.piece(0, 0)...)
			})(t, s, in)
		})
		r, err := begin(t, client, server, v, protocol.ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		err = runUntil(t, r, func(ctx context.Context) {
			if err := checkPiece(ctx, r, v, 0, 0); err != nil {
				t.Error(err)
			}
		})
		if !errors.Is(err, context.Canceled) || streams.Load() != 4 {
			t.Errorf("run ended with %v, after %d streams", err, streams.Load())
		}
	})
}

// The same with a real server. What Begin opened may be given up before Run, and
// nobody else then sees a difference.
func TestRunAfterBegin(t *testing.T) {
	v := smallVideo(t)
	onEachTransport(t, func(t *testing.T, transport string) {
		server, client := newHosts(t, transport)
		serve(t, server, protocol.ServerConfig{Library: newLibrary(v)})
		for _, giveUp := range []bool{false, true} {
			r, err := begin(t, client, server, v, protocol.ClientConfig{})
			if err != nil {
				t.Fatal(err)
			}
			if giveUp {
				r.GiveUp()
			}
			err = runUntil(t, r, func(ctx context.Context) {
				for piece := range 4 {
					if err := checkPiece(ctx, r, v, 0, piece); err != nil {
						t.Error(err)
					}
				}
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("run ended with %v", err)
			}
		}
	})
}

// flood sends as much as is taken, and notes how much that was.
func flood(taken *atomic.Int64, ended *sync.WaitGroup) script {
	return func(_ *testing.T, s network.Stream, _ *bufio.Reader) {
		defer ended.Done()
		for junk := make([]byte, 64<<10); ; {
			n, err := s.Write(junk)
			taken.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
}

// A peer from which no manifest comes loses the streams that were opened early,
// however it answers there, and could not make them hold more than their windows.
func TestBeginWithoutManifest(t *testing.T) {
	v := smallVideo(t)
	status := func(s wire.Status) []byte { return encode(t, &wire.NodeAnswer{Status: s}) }
	for _, test := range []struct {
		name   string
		answer []byte
		want   error // nil: any
	}{
		{"not found", status(wire.Status_STATUS_NOT_FOUND), fs.ErrNotExist},
		{"refused", status(wire.Status_STATUS_REFUSED), protocol.ErrRefused},
		{"other bytes", append(encode(t, &wire.NodeAnswer{Status: wire.Status_STATUS_OK, Size: 5}), "hello"...), manifest.ErrCorrupt},
		{"silence", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "tcp")
			var taken atomic.Int64
			var opens, ended sync.WaitGroup
			opens.Add(3)
			ended.Add(3)
			for _, id := range []corep2p.ID{protocol.HoldingsID, protocol.PiecesID} {
				handle(t, server, id, func(t *testing.T, s network.Stream, in *bufio.Reader) {
					opens.Done()
					flood(&taken, &ended)(t, s, in)
				})
			}
			handle(t, server, protocol.ManifestID, func(t *testing.T, s network.Stream, in *bufio.Reader) {
				opens.Wait()
				send(test.answer)(t, s, in)
			})
			timeout := longWait
			if test.want == nil {
				timeout = time.Second
			}
			r, err := begin(t, client, server, v, protocol.ClientConfig{Timeout: timeout})
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Fatalf("begin: %v, want %v", err, test.want)
			}
			ended.Wait()
			if most := int64(3 * protocol.StreamWindow); taken.Load() > most {
				t.Errorf("%d bytes were taken, want at most %d", taken.Load(), most)
			}
			if err := r.Run(t.Context(), nil); err == nil {
				t.Error("run without a manifest succeeded")
			}
		})
	}
}

// Holdings that came before the manifest are judged by it, and refusals on the
// early streams count.
func TestEarlyAnswersAreChecked(t *testing.T) {
	v := smallVideo(t)
	ok := wire.Status_STATUS_OK
	for _, test := range []struct {
		name             string
		holdings, opened proto.Message
		want             error
	}{
		{"short bitmap", &wire.Holdings{Status: ok}, &wire.Opened{Status: ok}, protocol.ErrProtocol},
		{"long bitmap", &wire.Holdings{Status: ok, Bitmap: make([]byte, 2)}, &wire.Opened{Status: ok}, protocol.ErrProtocol},
		{"huge bitmap", &wire.Holdings{Status: ok, Bitmap: make([]byte, 300<<10)}, &wire.Opened{Status: ok}, protocol.ErrProtocol},
		{"no holdings", &wire.Holdings{Status: wire.Status_STATUS_NOT_FOUND}, &wire.Opened{Status: ok}, fs.ErrNotExist},
		{"no pieces", goodHoldings(v), &wire.Opened{Status: wire.Status_STATUS_BUSY}, protocol.ErrBusy},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "tcp")
			handle(t, server, protocol.ManifestID, send(manifestOf(t, v)))
			handle(t, server, protocol.HoldingsID, send(encode(t, test.holdings)))
			handle(t, server, protocol.PiecesID, send(encode(t, test.opened)))
			r, err := begin(t, client, server, v, protocol.ClientConfig{})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Run(t.Context(), func(int, uint32) {}); !errors.Is(err, test.want) {
				t.Errorf("run ended with %v, want %v", err, test.want)
			}
		})
	}
}

// The streams end with the context of Begin as long as Run has not taken them.
func TestEarlyStreamsEndWithTheirContext(t *testing.T) {
	v := smallVideo(t)
	server, client := newHosts(t, "tcp")
	var opens, ended sync.WaitGroup
	opens.Add(3)
	ended.Add(3)
	for _, id := range []corep2p.ID{protocol.HoldingsID, protocol.PiecesID} {
		handle(t, server, id, func(_ *testing.T, _ network.Stream, in *bufio.Reader) {
			opens.Done()
			defer ended.Done()
			_, _ = in.ReadByte() // fails when the client is gone
		})
	}
	handle(t, server, protocol.ManifestID, func(t *testing.T, s network.Stream, in *bufio.Reader) {
		opens.Wait()
		send(manifestOf(t, v))(t, s, in)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := protocol.NewRemote(client, server.ID(), v.manifest.CID(), []byte(capability), protocol.ClientConfig{})
	if _, err := r.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	open := func() (n int) {
		for _, c := range client.Network().ConnsToPeer(server.ID()) {
			for _, s := range c.GetStreams() {
				if p := s.Protocol(); p == protocol.HoldingsID || p == protocol.PiecesID {
					n++
				}
			}
		}
		return n
	}
	if n := open(); n != 3 {
		t.Errorf("%d streams are open, want 3", n)
	}
	cancel()
	ended.Wait()
	eventually(t, "no streams", func() bool { return open() == 0 })
}
