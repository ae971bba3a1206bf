package protocol_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	corep2p "github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

const (
	// besiegedTimeout is that of a server under attack.
	besiegedTimeout = time.Second
	// mostHeap is what an attack may make the heap grow by, with the transfer
	// beside it.
	mostHeap = 64 << 20
)

// watchHeap fails the test if the heap grows by mostHeap or more before the
// returned function is called.
func watchHeap(t *testing.T) (stop func()) {
	t.Helper()
	percent := debug.SetGCPercent(10) // or garbage would count for much
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	heap := func() uint64 { metrics.Read(sample); return sample[0].Value.Uint64() }
	before, most := heap(), uint64(0)
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-tick.C:
				most = max(most, heap())
			case <-ended:
				tick.Stop()
				return
			}
		}
	})
	return func() {
		close(ended)
		wg.Wait()
		debug.SetGCPercent(percent)
		if most > before && most-before >= mostHeap {
			t.Errorf("the heap grew by %d MiB", (most-before)>>20)
		}
	}
}

// wholeVideo fetches every piece of a video, four at a time.
func wholeVideo(t *testing.T, r *running, v *video) error {
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(4)
	for block := range v.manifest.NumBlocks() {
		for piece := range manifest.NumPieces(v.manifest.Block(block).Len) {
			g.Go(func() error { return checkPiece(ctx, r.Remote, v, block, piece) })
		}
	}
	return g.Wait()
}

// besieged is a server with everything, and one who attacks it.
type besieged struct {
	video    *video
	lib      *library
	inbox    *inbox
	safe     *safe
	server   host.Host
	attacker host.Host
}

func (b *besieged) open(t *testing.T, id corep2p.ID) network.Stream {
	return openRaw(t, b.attacker, b.server.ID(), id)
}

func (b *besieged) openMessage() proto.Message {
	return &wire.Open{Video: b.video.manifest.CID().Bytes(), Capability: []byte(capability)}
}

// firstMessages is what a client may say first on a stream of each protocol.
func (b *besieged) firstMessages(t *testing.T) map[corep2p.ID][]byte {
	video := b.video.manifest.CID().Bytes()
	return map[corep2p.ID][]byte{
		protocol.ManifestID:   encode(t, &wire.NodeRequest{Video: video, Capability: []byte(capability)}),
		protocol.HoldingsID:   encode(t, b.openMessage()),
		protocol.PiecesID:     encode(t, b.openMessage()),
		protocol.CatalogueID:  encode(t, &wire.Follow{Log: make([]byte, 16)}),
		protocol.NoticeID:     encode(t, &wire.Notice{Kind: &wire.Notice_Transcript{Transcript: video}}),
		protocol.TranscriptID: encode(t, b.openMessage()),
		protocol.PairID:       encode(t, &wire.PairRequest{Secret: make([]byte, 20)}),
	}
}

// wantReset waits for the server to reset a stream, and reads nothing that
// comes before.
func wantReset(t *testing.T, what string, s network.Stream, code network.StreamErrorCode) {
	t.Helper()
	_, err := io.Copy(io.Discard, s)
	reset, ok := errors.AsType[*network.StreamError](err)
	if !ok || !reset.Remote || reset.ErrorCode != code {
		t.Errorf("%s: stream ended with %v, want a reset with code %#x", what, err, code)
	}
}

// Clients that attack a server are dealt with, while another one fetches a
// whole video, and cost little.
func TestHostileTableOfClients(t *testing.T) {
	v := smallVideo(t)
	for _, test := range []struct {
		name   string
		attack func(t *testing.T, b *besieged)
	}{
		{"a byte now and then, on every protocol", dripRequests},
		{"a byte read now and then", dripReads},
		{"endless headers on every protocol", endlessHeaders},
		{"flood of streams on every protocol", floodOfStreams},
		{"streams that come and go", churnOfStreams},
		{"flood of impossible requests", floodOfGets},
		{"flood of complaints", floodOfComplaints},
		{"receipt again and again", replayedReceipt},
		{"receipts with every bit changed", flippedReceipts},
		{"guessing secrets", floodOfSecrets},
		{"followers that do not read", deafFollowers},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := &besieged{video: v, lib: newLibrary(v), server: newHost(t, "tcp"), attacker: newHost(t, "tcp")}
			honest := newHost(t, "tcp")
			connect(t, b.attacker, b.server)
			connect(t, honest, b.server)
			var cfg protocol.ServerConfig
			cfg, _, b.inbox, b.safe = everything(t, trust(b.attacker))
			cfg.Library, cfg.Timeout = b.lib, besiegedTimeout
			stop := serve(t, b.server, cfg)
			defer watchHeap(t)()
			r := run(t, honest, b.server.ID(), v.manifest, protocol.ClientConfig{})
			var g errgroup.Group
			g.Go(func() error { return wholeVideo(t, r, v) })
			test.attack(t, b)
			if err := g.Wait(); err != nil {
				t.Errorf("the transfer beside it: %v", err)
			}
			if err := checkPiece(t.Context(), r.Remote, v, 1, 0); err != nil {
				t.Errorf("after that: %v", err)
			}
			stop()
		})
	}
}

// dripRequests never finishes its first messages, but is never silent either.
func dripRequests(t *testing.T, b *besieged) {
	var wg sync.WaitGroup
	for id, message := range b.firstMessages(t) {
		s := b.open(t, id)
		wg.Go(func() {
			start := time.Now()
			for _, c := range append(message[:len(message)-1:len(message)-1], make([]byte, 100)...) {
				if _, err := s.Write([]byte{c}); err != nil {
					break
				}
				if time.Since(start) > 20*besiegedTimeout {
					t.Errorf("%s: the server is still patient", id)
				}
				time.Sleep(besiegedTimeout / 4) // all of the shortest takes long
			}
			wantReset(t, string(id), s, network.StreamNoError)
		})
		if len(message) < 12 {
			t.Errorf("%s: %d bytes are soon sent", id, len(message))
		}
	}
	wg.Wait()
}

// dripReads asks for much and takes a little of it, less than counts.
func dripReads(t *testing.T, b *besieged) {
	s := askForPieces(t, b.attacker, b.server.ID(), b.video)
	for {
		_, err := io.CopyN(io.Discard, s, 64)
		if reset, ok := errors.AsType[*network.StreamError](err); ok && reset.Remote {
			break
		} else if err != nil {
			t.Errorf("read ended with %v", err)
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n := b.lib.served(); n > 200 { // 35 are the other's
		t.Errorf("the server read %d pieces", n)
	}
}

func endlessHeaders(t *testing.T, b *besieged) {
	for id, message := range b.firstMessages(t) {
		for name, flood := range map[string][]byte{
			"length that never ends": bytes.Repeat([]byte{0xff}, 1<<20),
			"message of 4 GiB":       append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, make([]byte, 1<<20)...),
			"message of 2^64-1":      append(bytes.Repeat([]byte{0xff}, 9), append([]byte{1}, make([]byte, 1<<20)...)...),
			"field that never ends":  append([]byte{byte(len(message))}, bytes.Repeat([]byte{0x8a}, 1<<20)...),
		} {
			s := b.open(t, id)
			_, _ = s.Write(flood) // is cut off
			wantReset(t, string(id)+": "+name, s, network.StreamProtocolViolation)
		}
	}
}

// floodOfStreams opens far more streams than may be open, each with half a
// message, until nothing is left of them.
func floodOfStreams(t *testing.T, b *besieged) {
	var streams []network.Stream
	for range 40 {
		for id, message := range b.firstMessages(t) {
			s, err := b.attacker.NewStream(t.Context(), b.server.ID(), id)
			if err != nil {
				continue // libp2p has limits, too
			}
			_, _ = s.Write(message[:len(message)/2]) // fails if the reset was quicker
			streams = append(streams, s)
		}
	}
	for _, s := range streams {
		_ = s.SetReadDeadline(time.Now().Add(longWait))
		_, err := io.Copy(io.Discard, s)
		if reset, ok := errors.AsType[*network.StreamError](err); !ok || !reset.Remote {
			t.Errorf("a stream ended with %v", err)
		}
	}
	if len(streams) < 100 {
		t.Errorf("only %d streams were opened", len(streams))
	}
}

func churnOfStreams(t *testing.T, b *besieged) {
	messages := b.firstMessages(t)
	for range 60 {
		for id, message := range messages {
			s, err := b.attacker.NewStream(t.Context(), b.server.ID(), id)
			if err != nil {
				continue
			}
			_, _ = s.Write(message)
			_ = s.Reset()
		}
	}
	eventually(t, "no stream to be left", func() bool {
		for _, conn := range b.server.Network().ConnsToPeer(b.attacker.ID()) {
			for _, s := range conn.GetStreams() {
				if _, ours := messages[s.Protocol()]; ours {
					return false
				}
			}
		}
		return true
	})
}

// floodOfGets asks for pieces that do not exist: as many as may be are answered,
// and then the stream ends, again and again.
func floodOfGets(t *testing.T, b *besieged) {
	for range 20 {
		s := b.open(t, protocol.PiecesID)
		in := openedPieces(t, s, b.video)
		for id := range uint64(protocol.MaxImpossibleGets) {
			if _, err := s.Write(encode(t, getRequest(id+1, 1<<31, 1<<31))); err != nil {
				t.Fatal(err)
			}
			var answer wire.PieceAnswer
			if err := protodelim.UnmarshalFrom(in, &answer); err != nil || answer.Status != wire.Status_STATUS_INVALID {
				t.Fatalf("answer %d: %v, %v", id+1, &answer, err)
			}
		}
		_, _ = s.Write(encode(t, getRequest(1000, 1<<31, 1<<31)))
		wantReset(t, "impossible requests", s, network.StreamProtocolViolation)
	}
	if n := b.lib.served(); n > 60 { // 35 pieces are the other's; each stream asks once when it is opened
		t.Errorf("the library was asked %d times", n)
	}
}

// floodOfComplaints says that all pieces were bad, again and again.
func floodOfComplaints(t *testing.T, b *besieged) {
	start := time.Now()
	for range 20 {
		s := b.open(t, protocol.PiecesID)
		openedPieces(t, s, b.video)
		var flood []proto.Message
		for i := range uint32(protocol.MaxExtraRequests + 1) {
			flood = append(flood, &wire.PieceRequest{Kind: &wire.PieceRequest_Bad{Bad: &wire.Bad{Block: 0, Piece: i % 32}}})
		}
		_, _ = s.Write(encode(t, flood...))
		wantReset(t, "complaints", s, network.StreamProtocolViolation)
	}
	if n, most := len(b.lib.reports()), 1+int(time.Since(start)/time.Second); n > most {
		t.Errorf("%d complaints were passed on, want at most %d", n, most)
	}
}

// replayedReceipt sends one good receipt on as many streams as it can.
func replayedReceipt(t *testing.T, b *besieged) {
	receipt := receiptOf(t, b.attacker)
	data, err := receipt.MarshalBinary()
	if err != nil {
		t.Error(err)
		return
	}
	one := encode(t, &wire.Notice{Kind: &wire.Notice_Receipt{Receipt: data}})
	for range 4 {
		s := b.open(t, protocol.NoticeID)
		_, _ = s.Write(bytes.Repeat(one, protocol.MaxNotices+1))
		wantReset(t, "replay", s, network.StreamProtocolViolation)
	}
	got := b.inbox.notices()
	if len(got) > 4*protocol.MaxNotices {
		t.Errorf("%d notices were passed on", len(got))
	}
	for _, n := range got {
		if !sameReceipt(*n.Receipt, *receipt) {
			t.Fatalf("notice %v was passed on", n)
		}
	}
}

// flippedReceipts sends a receipt with one bit changed, for every bit.
func flippedReceipts(t *testing.T, b *besieged) {
	data, err := receiptOf(t, b.attacker).MarshalBinary()
	if err != nil {
		t.Error(err)
		return
	}
	for from := 0; from < 8*len(data); from += protocol.MaxNotices {
		var notices []proto.Message
		for bit := from; bit < min(from+protocol.MaxNotices, 8*len(data)); bit++ {
			flipped := bytes.Clone(data)
			flipped[bit/8] ^= 1 << (bit % 8)
			notices = append(notices, &wire.Notice{Kind: &wire.Notice_Receipt{Receipt: flipped}})
		}
		s := b.open(t, protocol.NoticeID)
		if _, err := s.Write(encode(t, notices...)); err != nil {
			t.Error(err)
		}
		_ = s.CloseWrite()
		in := bufio.NewReader(s)
		for i := range notices {
			var answer wire.NoticeAnswer
			if err := protodelim.UnmarshalFrom(in, &answer); err != nil || answer.Status != wire.Status_STATUS_INVALID {
				t.Fatalf("bit %d: %v, %v", from+i, &answer, err)
			}
		}
	}
	if n := len(b.inbox.notices()); n != 0 {
		t.Errorf("%d notices were passed on", n)
	}
}

// floodOfSecrets tries to be paired, on many streams at once.
func floodOfSecrets(t *testing.T, b *besieged) {
	start := time.Now()
	var wg sync.WaitGroup
	for i := range 100 {
		s, err := b.attacker.NewStream(t.Context(), b.server.ID(), protocol.PairID)
		if err != nil {
			continue
		}
		wg.Go(func() {
			defer s.Reset()
			_ = s.SetDeadline(time.Now().Add(longWait))
			_, _ = s.Write(encode(t, &wire.PairRequest{Secret: bytes.Repeat([]byte{byte(i)}, 16)}))
			_, _ = io.Copy(io.Discard, s)
		})
	}
	wg.Wait()
	if n, most := len(b.safe.attempts()), 1+int(time.Since(start)/time.Second); n > most {
		t.Errorf("%d secrets were tried, want at most %d", n, most)
	}
}

// deafFollowers has all the catalogue streams that it may, and reads nothing.
func deafFollowers(t *testing.T, b *besieged) {
	for range 10 {
		s := b.open(t, protocol.CatalogueID)
		if _, err := s.Write(encode(t, &wire.Follow{})); err != nil {
			t.Error(err)
		}
	}
	served := 0
	eventually(t, "streams beyond the limit to end", func() bool {
		served = 0
		for _, conn := range b.server.Network().ConnsToPeer(b.attacker.ID()) {
			for _, s := range conn.GetStreams() {
				if s.Protocol() == protocol.CatalogueID {
					served++
				}
			}
		}
		return served <= 4
	})
}

// dripAnswer answers a Get a byte at a time, but never in time.
func dripAnswer(answer []byte) script {
	return func(t *testing.T, s network.Stream, in *bufio.Reader) {
		afterGets(1, func(uint64) []byte { return nil })(t, s, in)
		for _, c := range answer[:300] {
			if _, err := s.Write([]byte{c}); err != nil {
				return
			}
			time.Sleep(hostileTimeout / 10)
		}
	}
}

// Servers that lie to a client, or keep it waiting, are found out, while it
// fetches a whole video from another one.
func TestHostileTableOfServers(t *testing.T) {
	v := smallVideo(t)
	ok := wire.Status_STATUS_OK
	piece := func(id uint64) []byte {
		a := &wire.PieceAnswer{Id: id, Status: ok, Size: manifest.PieceSize, Proof: v.proof(nil, 0, 0)}
		return append(encode(t, a), v.piece(0, 0)...)
	}
	good := send(encode(t, goodHoldings(v)))
	opened := send(encode(t, &wire.Opened{Status: ok}))
	mask := func(m uint32) []byte {
		return encode(t, &wire.HoldingsChange{Changed: []*wire.BlockMask{{Block: 0, Mask: m}}})
	}
	for _, test := range []struct {
		name     string
		holdings script
		pieces   script
		get      error // of the only piece that is asked for; nil: it comes
		end      error // that Run ends with; nil: any
		goesOn   bool  // Run does not end
	}{
		{"body that is too long", good, afterGets(1, func(id uint64) []byte { return append(piece(id), 1, 2, 3, 4) }), nil, protocol.ErrProtocol, false},
		{"body that never ends", good, afterGets(1, func(id uint64) []byte { return append(piece(id), make([]byte, 4<<20)...) }), nil, protocol.ErrProtocol, false},
		{"header a byte at a time", good, dripAnswer(piece(1)), protocol.ErrClosed, nil, false},
		{"pieces that nobody asked for", good, send(encode(t, &wire.Opened{Status: ok}), piece(1), piece(2)), nil, protocol.ErrProtocol, false},
		{"says it has, has not", good, afterGets(1, func(id uint64) []byte {
			return encode(t, &wire.PieceAnswer{Id: id, Status: wire.Status_STATUS_NOT_FOUND})
		}), fs.ErrNotExist, nil, true},
		{"has, then has not, then has", send(encode(t, goodHoldings(v)), bytes.Repeat(append(mask(0), mask(1)...), 5)), afterGets(1, func(id uint64) []byte { return piece(id) }), nil, nil, true},
		{"more partial blocks than fit", send(encode(t, &wire.Holdings{Status: ok, Bitmap: []byte{0}, Partial: make([]*wire.BlockMask, 5000)})), opened, protocol.ErrClosed, protocol.ErrProtocol, false},
		{"holdings that end", func(t *testing.T, s network.Stream, in *bufio.Reader) {
			good(t, s, in)
			_ = s.Close()
		}, opened, protocol.ErrClosed, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, liar, honest := newHost(t, "tcp"), newHost(t, "tcp"), newHost(t, "tcp")
			connect(t, client, liar)
			connect(t, client, honest)
			serve(t, honest, protocol.ServerConfig{Library: newLibrary(v)})
			handle(t, liar, protocol.HoldingsID, test.holdings)
			handle(t, liar, protocol.PiecesID, test.pieces)
			defer watchHeap(t)()
			attacked := run(t, client, liar.ID(), v.manifest, protocol.ClientConfig{Timeout: patience(test.end != nil || test.goesOn)})
			right := run(t, client, honest.ID(), v.manifest, protocol.ClientConfig{})
			var g errgroup.Group
			g.Go(func() error { return wholeVideo(t, right, v) })
			err := checkPiece(t.Context(), attacked.Remote, v, 0, 0)
			if !errors.Is(err, test.get) && (test.end == nil || !errors.Is(err, protocol.ErrClosed)) { // the end may come first
				t.Errorf("get: %v, want %v", err, test.get)
			}
			if err := g.Wait(); err != nil {
				t.Errorf("the transfer beside it: %v", err)
			}
			if test.goesOn {
				if err := attacked.stop(); !errors.Is(err, context.Canceled) {
					t.Errorf("run ended with %v", err)
				}
				return
			}
			if err := attacked.wait(); err == nil || test.end != nil && !errors.Is(err, test.end) {
				t.Errorf("run ended with %v, want %v", err, test.end)
			}
		})
	}
}
