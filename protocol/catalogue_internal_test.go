package protocol

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// pipeStream is a stream within a test's own time.
type pipeStream struct {
	network.Stream
	conn net.Conn
}

func (p pipeStream) Read(b []byte) (int, error)                     { return p.conn.Read(b) }
func (p pipeStream) Write(b []byte) (int, error)                    { return p.conn.Write(b) }
func (p pipeStream) SetReadDeadline(t time.Time) error              { return p.conn.SetReadDeadline(t) }
func (p pipeStream) SetWriteDeadline(t time.Time) error             { return p.conn.SetWriteDeadline(t) }
func (p pipeStream) ResetWithError(_ network.StreamErrorCode) error { return p.conn.Close() }
func (p pipeStream) Scope() network.StreamScope                     { return &network.NullScope{} }
func (p pipeStream) Close() error                                   { return p.conn.Close() }

func framingPair(t *testing.T) (server, client *framing) {
	a, b := net.Pipe()
	server = newFraming(t.Context(), pipeStream{conn: a}, defaultTimeout)
	client = newFraming(t.Context(), pipeStream{conn: b}, defaultTimeout)
	return server, client
}

// ticking is a catalogue that gets an entry whenever grow is called.
type ticking struct {
	mu      sync.Mutex
	last    uint64
	changed chan struct{}
}

func (c *ticking) Log() [16]byte { return [16]byte{1} }

func (c *ticking) Entries(_ context.Context, after uint64, limit int) (entries []Entry, changed <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for seq := after + 1; seq <= c.last && len(entries) < limit; seq++ {
		entries = append(entries, Entry{Seq: seq, Video: testVideo})
	}
	return entries, c.changed, nil
}

func (c *ticking) grow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	close(c.changed)
	c.changed = make(chan struct{})
}

var testVideo = func() (m *manifest.Manifest) {
	m, err := manifest.New(1, []manifest.Digest{{7}})
	if err != nil {
		panic(err)
	}
	return m
}().CID()

type everyone struct{}

func (everyone) AuthorizePeer(peer.ID) error { return nil }

// startFeed serves a catalogue to a client in the bubble's time.
func startFeed(t *testing.T, catalogue Catalogue) (client *catalogueView, wait func() error) {
	server, other := framingPair(t)
	s := NewServer(nil, ServerConfig{Peers: everyone{}, Logger: slog.New(slog.DiscardHandler)})
	in := &incoming{server: s, framing: server, admitted: true}
	feed := &catalogueFeed{incoming: in, catalogue: catalogue, sent: time.Now()}
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	var wg sync.WaitGroup
	wg.Go(func() {
		if err = feed.look(ctx); err == nil {
			err = feed.run(ctx)
		}
		server.end(err)
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return &catalogueView{framing: other}, func() error { wg.Wait(); return err }
}

func nextBatch(c *catalogueView) ([]Entry, error) {
	if err := c.awaitBatch(); err != nil {
		return nil, err
	}
	return c.readBatch()
}

func TestCatalogueKeepsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &ticking{changed: make(chan struct{})}
		client, _ := startFeed(t, c)
		start := time.Now()
		for i := 1; i <= 10; i++ {
			entries, err := nextBatch(client)
			if at := time.Since(start); err != nil || len(entries) != 0 || at != time.Duration(i)*keepaliveEvery {
				t.Fatalf("message %d: %v, %v after %v", i, entries, err, at)
			}
		}
		client.end(nil)
	})
}

// A change is told at once if the last message is a while ago, and else after
// a tenth of a second, together with others.
func TestCatalogueIsTimely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &ticking{changed: make(chan struct{})}
		client, _ := startFeed(t, c)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(10 * time.Second)
			for range 30 {
				c.grow()
				time.Sleep(10 * time.Millisecond)
			}
		})
		var told []time.Duration
		for client.at.Seq < 30 {
			entries, err := nextBatch(client)
			if err != nil {
				t.Fatal(err)
			}
			client.at.Seq = entries[len(entries)-1].Seq
			told = append(told, time.Since(start))
		}
		wg.Wait()
		want := []time.Duration{10 * time.Second, 10*time.Second + pushEvery, 10*time.Second + 2*pushEvery, 10*time.Second + 3*pushEvery}
		if !slices.Equal(told, want) {
			t.Errorf("told at %v, want %v", told, want)
		}
		client.end(nil)
	})
}

func TestDeadCatalogueServerIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, other := framingPair(t)
		defer server.end(nil)
		view := &catalogueView{framing: other}
		start := time.Now()
		err := view.run(t.Context())
		if at := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || at != keepaliveEvery+defaultTimeout {
			t.Errorf("ended with %v after %v", err, at)
		}
		other.end(err)
	})
}

func TestDeadFollowerIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, wait := startFeed(t, &ticking{changed: make(chan struct{})}) // nobody reads
		start := time.Now()
		err := wait()
		if at := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || at != keepaliveEvery+defaultTimeout {
			t.Errorf("ended with %v after %v", err, at)
		}
		client.end(err)
	})
}

func TestCatalogueOutOfOrder(t *testing.T) {
	for name, seqs := range map[string][]uint64{
		"number that was": {5}, "number twice": {6, 6}, "going back": {8, 7}, "too many": make([]uint64, MaxBatchEntries+1),
	} {
		t.Run(name, func(t *testing.T) {
			in := &incoming{server: NewServer(nil, ServerConfig{})}
			feed := &catalogueFeed{incoming: in, catalogue: fixed(seqs), after: 5}
			if err := feed.look(t.Context()); err == nil || statusOf(err) != wire.Status_STATUS_INTERNAL {
				t.Errorf("got %v", err)
			}
		})
	}
}

type fixed []uint64

func (f fixed) Log() [16]byte { return [16]byte{} }

func (f fixed) Entries(context.Context, uint64, int) (entries []Entry, changed <-chan struct{}, err error) {
	for _, seq := range f {
		entries = append(entries, Entry{Seq: seq, Video: testVideo})
	}
	return entries, nil, nil
}
