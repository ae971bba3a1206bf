package protocol_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"

	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// drawer has the transcripts of some videos. It may block.
type drawer struct {
	sidecars map[cid.Cid][]protocol.Sidecar
	entered  chan struct{} // gets an element for each call, if not nil
	blocked  chan struct{} // calls wait until it is closed, if not nil
}

func (d drawer) Transcript(ctx context.Context, video cid.Cid) ([]protocol.Sidecar, error) {
	if d.entered != nil {
		d.entered <- struct{}{}
	}
	if d.blocked != nil {
		select {
		case <-d.blocked:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	found, ok := d.sidecars[video]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return found, nil
}

func sidecar(format string, n int) protocol.Sidecar {
	return protocol.Sidecar{Format: format, Data: bytes.Repeat([]byte(format), n/len(format)+1)[:n]}
}

func sameSidecars(a, b []protocol.Sidecar) bool {
	return slices.EqualFunc(a, b, func(x, y protocol.Sidecar) bool { return x.Format == y.Format && bytes.Equal(x.Data, y.Data) })
}

func fetchTranscript(h, server host.Host, video cid.Cid, cfg protocol.ClientConfig) ([]protocol.Sidecar, error) {
	return protocol.FetchTranscript(context.Background(), h, server.ID(), video, []byte(capability), cfg)
}

func TestFetchTranscript(t *testing.T) {
	video := otherVideo(t)
	onEachTransport(t, func(t *testing.T, transport string) {
		for name, want := range map[string][]protocol.Sidecar{
			"usual":   {sidecar("srt", 3000), sidecar("vtt", 3100), sidecar("txt", 2000), sidecar("json", 300_000)},
			"one":     {sidecar("txt", 5)},
			"empty":   {sidecar("txt", 0), sidecar("srt", 0)},
			"longest": {sidecar("json", protocol.MaxSidecarBytes)},
		} {
			t.Run(name, func(t *testing.T) {
				server, client := newHosts(t, transport)
				serve(t, server, protocol.ServerConfig{Transcripts: drawer{sidecars: map[cid.Cid][]protocol.Sidecar{video: want}}})
				got, err := fetchTranscript(client, server, video, protocol.ClientConfig{})
				if err != nil || !sameSidecars(got, want) {
					t.Errorf("got %d sidecars, %v", len(got), err)
				}
			})
		}
	})
}

func TestTranscriptErrors(t *testing.T) {
	video := otherVideo(t)
	for _, test := range []struct {
		name  string
		found []protocol.Sidecar // nil: there is none
		cap   authorizer
		want  error // nil: any
	}{
		{"none", nil, capability, fs.ErrNotExist},
		{"wrong capability", []protocol.Sidecar{sidecar("txt", 5)}, "knock knock", protocol.ErrRefused},
		{"none and wrong capability", nil, "knock knock", protocol.ErrRefused},
		{"no sidecars", []protocol.Sidecar{}, capability, nil},
		{"unknown format", []protocol.Sidecar{sidecar("exe", 5)}, capability, nil},
		{"format twice", []protocol.Sidecar{sidecar("txt", 5), sidecar("txt", 5)}, capability, nil},
		{"over the limit", []protocol.Sidecar{sidecar("txt", protocol.MaxSidecarBytes+1)}, capability, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "tcp")
			var found map[cid.Cid][]protocol.Sidecar
			if test.found != nil {
				found = map[cid.Cid][]protocol.Sidecar{video: test.found}
			}
			serve(t, server, protocol.ServerConfig{Transcripts: drawer{sidecars: found}})
			_, err := protocol.FetchTranscript(t.Context(), client, server.ID(), video, []byte(test.cap), protocol.ClientConfig{})
			if err == nil || test.want != nil && !errors.Is(err, test.want) || test.want == nil && errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// Transcripts are in memory while they are sent, so few are sent at once.
func TestTranscriptsAtOnce(t *testing.T) {
	server, client := newHosts(t, "tcp")
	other := newHost(t, "tcp")
	connect(t, other, server)
	video := otherVideo(t)
	d := drawer{
		sidecars: map[cid.Cid][]protocol.Sidecar{video: {sidecar("txt", 5)}},
		entered:  make(chan struct{}, 8), blocked: make(chan struct{}),
	}
	serve(t, server, protocol.ServerConfig{Transcripts: d})
	var wg sync.WaitGroup
	ask := func(h host.Host) {
		wg.Go(func() {
			if _, err := fetchTranscript(h, server, video, protocol.ClientConfig{}); err != nil {
				t.Error(err)
			}
		})
		<-d.entered
	}
	ask(client)
	ask(client)
	if _, err := fetchTranscript(client, server, video, protocol.ClientConfig{}); !errors.Is(err, protocol.ErrBusy) {
		t.Errorf("third of one peer: %v", err)
	}
	ask(other)
	ask(other)
	third := newHost(t, "tcp")
	connect(t, third, server)
	if _, err := fetchTranscript(third, server, video, protocol.ClientConfig{}); !errors.Is(err, protocol.ErrBusy) {
		t.Errorf("fifth of all: %v", err)
	}
	close(d.blocked)
	wg.Wait()
	if _, err := fetchTranscript(third, server, video, protocol.ClientConfig{}); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestHostileTranscriptServers(t *testing.T) {
	answer := func(headers ...*wire.SidecarHeader) []byte {
		return encode(t, &wire.TranscriptAnswer{Status: wire.Status_STATUS_OK, Sidecars: headers})
	}
	txt := func(size uint32) *wire.SidecarHeader { return &wire.SidecarHeader{Format: "txt", Size: size} }
	for _, test := range []struct {
		name string
		send []byte
		want error // nil: any
	}{
		{"silence", nil, nil},
		{"half a body", append(answer(txt(10)), "hello"...), nil},
		{"no status", []byte{0}, protocol.ErrProtocol},
		{"oversize answer", []byte{0x81, 0x08}, protocol.ErrProtocol},
		{"garbage", []byte{2, 0xff, 0xff}, protocol.ErrProtocol},
		{"no sidecars", answer(), protocol.ErrProtocol},
		{"over the limit", answer(txt(protocol.MaxSidecarBytes + 1)), protocol.ErrProtocol},
		{"size of 2^32-1", answer(txt(1<<32 - 1)), protocol.ErrProtocol},
		{"unknown format", answer(&wire.SidecarHeader{Format: "exe", Size: 1}), protocol.ErrProtocol},
		{"path as a format", answer(&wire.SidecarHeader{Format: "../txt", Size: 1}), protocol.ErrProtocol},
		{"format twice", answer(txt(1), txt(1)), protocol.ErrProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "tcp")
			handle(t, server, protocol.TranscriptID, send(test.send))
			_, err := fetchTranscript(client, server, otherVideo(t), protocol.ClientConfig{Timeout: patience(test.want != nil)})
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// A client that has no memory for what is announced takes none.
func TestTranscriptIsReserved(t *testing.T) {
	limits := rcmgr.PartialLimitConfig{
		Service: map[string]rcmgr.ResourceLimits{protocol.ServiceName: {Memory: 8 << 20}},
	}
	manager, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Build(rcmgr.DefaultLimits.AutoScale())))
	if err != nil {
		t.Fatal(err)
	}
	options := append([]libp2p.Option{libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.ResourceManager(manager)}, transports["tcp"]...)
	client, err := libp2p.New(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	server, video := newHost(t, "tcp"), otherVideo(t)
	connect(t, client, server)
	d := drawer{sidecars: map[cid.Cid][]protocol.Sidecar{video: {sidecar("txt", 1<<20)}}}
	serve(t, server, protocol.ServerConfig{Transcripts: d})
	if _, err := fetchTranscript(client, server, video, protocol.ClientConfig{}); err != nil {
		t.Errorf("a short one: %v", err)
	}
	d.sidecars[video] = []protocol.Sidecar{sidecar("txt", 9<<20)}
	if _, err := fetchTranscript(client, server, video, protocol.ClientConfig{}); !errors.Is(err, protocol.ErrBusy) {
		t.Errorf("a long one: %v", err)
	}
	_ = manager.ViewService(protocol.ServiceName, func(s network.ServiceScope) error {
		eventually(t, "memory to be given back", func() bool { return s.Stat().Memory == 0 })
		return nil
	})
}

// A client that reads nothing is reset, and its place given back.
func TestTranscriptClientThatDoesNotRead(t *testing.T) {
	server, client := newHosts(t, "tcp")
	video := otherVideo(t)
	long := []protocol.Sidecar{sidecar("srt", 15<<20), sidecar("vtt", 15<<20), sidecar("txt", 15<<20), sidecar("json", 15<<20)}
	d := drawer{sidecars: map[cid.Cid][]protocol.Sidecar{video: long}, entered: make(chan struct{}, 1)}
	serve(t, server, protocol.ServerConfig{
		Transcripts: d, Timeout: time.Second,
	})
	s := openRaw(t, client, server.ID(), protocol.TranscriptID)
	if _, err := s.Write(encode(t, &wire.Open{Video: video.Bytes(), Capability: []byte(capability)})); err != nil {
		t.Fatal(err)
	}
	<-d.entered
	eventually(t, "the stream to end", func() bool { return transcriptStreams(server) == 0 })
	_, err := io.Copy(io.Discard, s)
	if reset, ok := errors.AsType[*network.StreamError](err); !ok || !reset.Remote {
		t.Errorf("stream ended with %v", err)
	}
}

func transcriptStreams(h host.Host) (n int) {
	for _, conn := range h.Network().Conns() {
		for _, s := range conn.GetStreams() {
			if s.Protocol() == protocol.TranscriptID {
				n++
			}
		}
	}
	return n
}
