package protocol_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	corep2p "github.com/libp2p/go-libp2p/core/protocol"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

// longWait is how long a test waits for what should come at once: the machine
// may be busy with other things.
const longWait = 2 * time.Minute

// transports are the ways in which two hosts of a test are connected.
var transports = map[string][]libp2p.Option{
	"tcp": {
		libp2p.Transport(tcp.NewTCPTransport),
		protocol.Connections(),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
	},
	"quic": {
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"),
	},
}

func newHost(t testing.TB, transport string, more ...libp2p.Option) host.Host {
	t.Helper()
	options := append([]libp2p.Option{libp2p.DisableRelay(), libp2p.DisableMetrics()}, transports[transport]...)
	h, err := libp2p.New(append(options, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// newHosts returns a host that serves and one that is connected to it.
func newHosts(t testing.TB, transport string) (server, client host.Host) {
	t.Helper()
	server, client = newHost(t, transport), newHost(t, transport)
	connect(t, client, server)
	return server, client
}

func connect(t testing.TB, from, to host.Host) {
	t.Helper()
	if err := from.Connect(t.Context(), peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

// serve runs a server on h until the test or the returned function ends it.
func serve(t testing.TB, h host.Host, cfg protocol.ServerConfig) (stop func()) {
	t.Helper()
	_, stop = start(t, h, cfg)
	return stop
}

func start(t testing.TB, h host.Host, cfg protocol.ServerConfig) (s *protocol.Server, stop func()) {
	t.Helper()
	if cfg.Authorizer == nil {
		cfg.Authorizer = capability
	}
	ctx, cancel := context.WithCancel(context.Background())
	s = protocol.NewServer(h, cfg)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("server ended with %v", err)
		}
	})
	for !serving(h) {
		time.Sleep(time.Millisecond)
	}
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return s, stop
}

func serving(h host.Host) bool {
	have := make(map[corep2p.ID]bool)
	for _, id := range h.Mux().Protocols() {
		have[id] = true
	}
	for _, id := range allProtocols {
		if !have[id] {
			return false
		}
	}
	return true
}

var allProtocols = []corep2p.ID{
	protocol.ManifestID, protocol.HoldingsID, protocol.PiecesID,
	protocol.CatalogueID, protocol.NoticeID, protocol.TranscriptID, protocol.PairID,
}

// running is a Remote whose Run is under way.
type running struct {
	*protocol.Remote
	stop func() error // ends Run and returns its error
	wait func() error // waits for Run to end by itself

	mu    sync.Mutex
	masks map[int]uint32 // as told to update
	log   []uint32       // masks in the order told
}

func (r *running) update(block int, mask uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.masks[block] = mask
	r.log = append(r.log, mask)
}

func (r *running) mask(block int) uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.masks[block]
}

func (r *running) updates() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.log)
}

// run starts the Remote of a video; the manifest is set and not fetched.
func run(t testing.TB, h host.Host, p peer.ID, m *manifest.Manifest, cfg protocol.ClientConfig) *running {
	t.Helper()
	r := &running{
		Remote: protocol.NewRemote(h, p, m.CID(), []byte(capability), cfg),
		masks:  make(map[int]uint32),
	}
	r.SetManifest(m)
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { err = r.Run(ctx, r.update); close(ended) })
	r.wait = func() error {
		select {
		case <-ended:
		case <-time.After(longWait):
			t.Error("run did not end")
			cancel()
			<-ended
		}
		return err
	}
	r.stop = func() error { cancel(); return r.wait() }
	t.Cleanup(func() { cancel(); wg.Wait() })
	return r
}

// eventually waits for something that happens in another goroutine.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(longWait); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("not reached: %s", what)
}

// openRaw opens a stream as a peer does that is not a Remote.
func openRaw(t testing.TB, h host.Host, p peer.ID, id corep2p.ID) network.Stream {
	t.Helper()
	s, err := h.NewStream(t.Context(), p, id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Reset() })
	if err := s.SetDeadline(time.Now().Add(longWait)); err != nil {
		t.Fatal(err)
	}
	return s
}

func otherVideo(t testing.TB) cid.Cid {
	t.Helper()
	m, err := manifest.New(1, []manifest.Digest{{7}})
	if err != nil {
		t.Fatal(err)
	}
	return m.CID()
}
