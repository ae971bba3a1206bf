package protocol_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

// shelf is a catalogue in memory.
type shelf struct {
	mu      sync.Mutex
	log     [16]byte
	entries []protocol.Entry
	changed chan struct{}
	calls   int
}

func newShelf(entries ...protocol.Entry) *shelf {
	return &shelf{log: [16]byte{15: 7}, entries: entries, changed: make(chan struct{})}
}

func (s *shelf) Log() [16]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log
}

func (s *shelf) Entries(_ context.Context, after uint64, limit int) ([]protocol.Entry, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	first, _ := slices.BinarySearchFunc(s.entries, after+1, func(e protocol.Entry, seq uint64) int { return int(e.Seq) - int(seq) })
	rest := s.entries[first:]
	return slices.Clone(rest[:min(limit, len(rest))]), s.changed, nil
}

func (s *shelf) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// add puts entries at the end, and tells those who wait for it.
func (s *shelf) add(entries ...protocol.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, entries...)
	close(s.changed)
	s.changed = make(chan struct{})
}

// entries returns plausible ones, numbered from first to last.
func entries(t testing.TB, first, last uint64) []protocol.Entry {
	t.Helper()
	var out []protocol.Entry
	for seq := first; seq <= last; seq++ {
		var d manifest.Digest
		binary.BigEndian.PutUint64(d[:], seq)
		m, err := manifest.New(1, []manifest.Digest{d})
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("talk %06d.mp4", seq)
		out = append(out, protocol.Entry{
			Seq: seq, Video: m.CID(), Recording: fmt.Sprintf("%032x", seq), Name: name, RelPath: "day 1/hall B/" + name,
			MediaType: "video/mp4", State: "whole", Size: int64(seq) << 20, Added: time.Unix(1700000000, int64(seq)).UTC(),
		})
	}
	return out
}

// follower is a FollowCatalogue under way.
type follower struct {
	stop func() error // ends it and returns its error
	wait func() error // waits for it to end by itself

	ended chan struct{}
	err   error // once ended

	mu      sync.Mutex
	got     []protocol.Entry
	cursor  protocol.Cursor
	calls   int
	restart []protocol.Cursor // of calls without entries
}

func (f *follower) handle(entries []protocol.Entry, next protocol.Cursor) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if len(entries) == 0 {
		f.restart = append(f.restart, next)
	}
	f.got, f.cursor = append(f.got, entries...), next
	return nil
}

func (f *follower) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.got)
}

func (f *follower) hasEnded() bool {
	select {
	case <-f.ended:
		return true
	default:
		return false
	}
}

func follow(t testing.TB, h host.Host, p peer.ID, from protocol.Cursor, cfg protocol.ClientConfig) *follower {
	t.Helper()
	f := &follower{ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		f.err = protocol.FollowCatalogue(ctx, h, p, from, f.handle, cfg)
		close(f.ended)
	})
	f.wait = func() error {
		select {
		case <-f.ended:
		case <-time.After(longWait):
			t.Error("following did not end")
			cancel()
			<-f.ended
		}
		return f.err
	}
	f.stop = func() error { cancel(); return f.wait() }
	t.Cleanup(func() { cancel(); wg.Wait() })
	return f
}

func TestFollowCatalogue(t *testing.T) {
	all := entries(t, 1, 1200)
	onEachTransport(t, func(t *testing.T, transport string) {
		server, client := newHosts(t, transport)
		shelf := newShelf(all[:1100]...)
		serve(t, server, protocol.ServerConfig{Peers: trust(client), Catalogue: shelf})
		f := follow(t, client, server.ID(), protocol.Cursor{}, protocol.ClientConfig{})
		eventually(t, "what was there", func() bool { return f.count() == 1100 })
		shelf.add(all[1100:]...)
		gone := protocol.Entry{Seq: 1300, Video: all[4].Video, Removed: true, Recording: all[4].Recording}
		shelf.add(gone)
		eventually(t, "what changed", func() bool { return f.count() == 1201 })
		if err := f.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		if want := append(slices.Clone(all), gone); !slices.Equal(f.got, want) {
			t.Error("other entries arrived than were there")
		}
		if want := (protocol.Cursor{Log: shelf.log, Seq: 1300}); f.cursor != want {
			t.Errorf("cursor %v, want %v", f.cursor, want)
		}
		if want := []protocol.Cursor{{Log: shelf.log}}; !slices.Equal(f.restart, want) {
			t.Errorf("told of logs %v, want %v", f.restart, want)
		}
	})
}

func TestFollowFromCursor(t *testing.T) {
	shelf := newShelf(entries(t, 1, 20)...)
	for _, test := range []struct {
		name    string
		from    protocol.Cursor
		restart bool
		want    int
	}{
		{"where it was left", protocol.Cursor{Log: shelf.log, Seq: 15}, false, 5},
		{"start of the same log", protocol.Cursor{Log: shelf.log}, false, 20},
		{"another log", protocol.Cursor{Log: [16]byte{1}, Seq: 15}, true, 20},
		{"number without a log", protocol.Cursor{Seq: 15}, true, 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "tcp")
			serve(t, server, protocol.ServerConfig{Peers: trust(client), Catalogue: shelf})
			f := follow(t, client, server.ID(), test.from, protocol.ClientConfig{})
			eventually(t, "entries", func() bool { return f.count() >= test.want })
			_ = f.stop()
			if f.count() != test.want || (len(f.restart) == 1) != test.restart || f.cursor.Seq != 20 {
				t.Errorf("got %d entries, restarts %v, cursor %v", f.count(), f.restart, f.cursor)
			}
		})
	}
}

// A node without any entry still says that what was known of it is void.
func TestFollowEmptyLog(t *testing.T) {
	server, client := newHosts(t, "tcp")
	shelf := newShelf()
	serve(t, server, protocol.ServerConfig{Peers: trust(client), Catalogue: shelf})
	f := follow(t, client, server.ID(), protocol.Cursor{Log: [16]byte{1}, Seq: 15}, protocol.ClientConfig{})
	eventually(t, "new log", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.cursor.Log == shelf.log })
	_ = f.stop()
	if want := (protocol.Cursor{Log: shelf.log}); f.cursor != want || f.calls != 1 {
		t.Errorf("cursor %v after %d calls, want %v", f.cursor, f.calls, want)
	}
}

// Entries that the server may not send do not keep others back.
func TestUnsendableEntries(t *testing.T) {
	all := entries(t, 1, 10)
	for i, spoil := range []func(e *protocol.Entry){
		func(e *protocol.Entry) { e.Name = strings.Repeat("x", protocol.MaxNameBytes+1) },
		func(e *protocol.Entry) { e.Name = "caf\xe9.mp4" },
		func(e *protocol.Entry) { e.RelPath = "../secret" },
		func(e *protocol.Entry) { e.RelPath = "/etc/passwd" },
		func(e *protocol.Entry) { e.Recording = strings.Repeat("x", protocol.MaxRecordingBytes+1) },
		func(e *protocol.Entry) { e.Size = -1 },
		func(e *protocol.Entry) { e.Size = manifest.MaxVideoSize + 1 },
		func(e *protocol.Entry) { e.Video = manifest.BlockCID(manifest.Digest{1}) },
	} {
		spoil(&all[i])
	}
	server, client := newHosts(t, "tcp")
	shelf := newShelf(all...)
	serve(t, server, protocol.ServerConfig{Peers: trust(client), Catalogue: shelf})
	f := follow(t, client, server.ID(), protocol.Cursor{}, protocol.ClientConfig{})
	eventually(t, "good entries", func() bool { return f.count() == 2 })
	shelf.add(entries(t, 11, 11)...)
	eventually(t, "the next one", func() bool { return f.count() == 3 })
	_ = f.stop()
	if f.got[0] != all[8] || f.got[1] != all[9] || f.cursor.Seq != 11 {
		t.Errorf("got %v", f.got)
	}
}

func TestFollowerThatFails(t *testing.T) {
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Peers: trust(client), Catalogue: newShelf(entries(t, 1, 3)...)})
	full := errors.New("disk is full")
	for _, failAt := range []int{1, 2} { // told of the log, then of entries
		calls := 0
		err := protocol.FollowCatalogue(t.Context(), client, server.ID(), protocol.Cursor{}, func([]protocol.Entry, protocol.Cursor) error {
			if calls++; calls == failAt {
				return full
			}
			return nil
		}, protocol.ClientConfig{})
		if !errors.Is(err, full) || calls != failAt {
			t.Errorf("got %v after %d calls", err, calls)
		}
	}
}

// A slow follower holds the server up: it looks no further than what the
// stream's window takes.
func TestSlowFollower(t *testing.T) {
	const count = 20_000 // of a kilobyte each
	sample := entries(t, 1, 1)[0]
	sample.RelPath = strings.Repeat("x", 1000)
	onEachTransport(t, func(t *testing.T, transport string) {
		server, client := newHosts(t, transport)
		var looks atomic.Int64
		serve(t, server, protocol.ServerConfig{Peers: trust(client), Catalogue: counted{endless{sample, count}, &looks}})
		unblock := make(chan struct{})
		got := 0
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = protocol.FollowCatalogue(ctx, client, server.ID(), protocol.Cursor{}, func(entries []protocol.Entry, _ protocol.Cursor) error {
				if got += len(entries); got > 0 {
					<-unblock
				}
				if got == count {
					cancel()
				}
				return nil
			}, protocol.ClientConfig{})
		})
		eventually(t, "the server to wait", func() bool {
			before := looks.Load()
			time.Sleep(200 * time.Millisecond)
			return before > 0 && looks.Load() == before
		})
		if n := looks.Load(); n > count/protocol.MaxBatchEntries/2 {
			t.Errorf("the server looked %d times for a follower that waits", n)
		}
		close(unblock)
		wg.Wait()
		if got != count {
			t.Errorf("%d entries in the end", got)
		}
	})
}

// counted counts how often a catalogue is looked at.
type counted struct {
	endless
	looks *atomic.Int64
}

func (c counted) Entries(ctx context.Context, after uint64, limit int) ([]protocol.Entry, <-chan struct{}, error) {
	c.looks.Add(1)
	return c.endless.Entries(ctx, after, limit)
}

// Many changes at once are told together.
func TestCatalogueCoalesces(t *testing.T) {
	all := entries(t, 1, 200)
	server, client := newHosts(t, "tcp")
	shelf := newShelf(all[0])
	serve(t, server, protocol.ServerConfig{Peers: trust(client), Catalogue: shelf})
	f := follow(t, client, server.ID(), protocol.Cursor{Log: shelf.log}, protocol.ClientConfig{})
	eventually(t, "what was there", func() bool { return f.count() == 1 })
	start := time.Now()
	for _, e := range all[1:] {
		shelf.add(e)
		time.Sleep(2 * time.Millisecond)
	}
	eventually(t, "what changed", func() bool { return f.count() == len(all) })
	most := 3 + int(time.Since(start)/(100*time.Millisecond))
	_ = f.stop()
	if f.calls > most {
		t.Errorf("%d messages for %d changes, want at most %d", f.calls, len(all), most)
	}
}

func TestFollowersPerPeer(t *testing.T) {
	server, client := newHosts(t, "tcp")
	other := newHost(t, "tcp")
	connect(t, other, server)
	shelf := newShelf(entries(t, 1, 3)...)
	serve(t, server, protocol.ServerConfig{Peers: trust(client, other), Catalogue: shelf})
	var four []*follower
	for range 4 {
		f := follow(t, client, server.ID(), protocol.Cursor{}, protocol.ClientConfig{})
		eventually(t, "entries", func() bool { return f.count() == 3 })
		four = append(four, f)
	}
	if err := follow(t, client, server.ID(), protocol.Cursor{}, protocol.ClientConfig{}).wait(); !errors.Is(err, protocol.ErrBusy) {
		t.Errorf("fifth stream: %v", err)
	}
	f := follow(t, other, server.ID(), protocol.Cursor{}, protocol.ClientConfig{})
	eventually(t, "entries at another peer", func() bool { return f.count() == 3 })
	_ = four[0].stop()
	eventually(t, "a place", func() bool {
		f := follow(t, client, server.ID(), protocol.Cursor{}, protocol.ClientConfig{})
		defer f.stop()
		eventually(t, "an answer", func() bool { return f.count() == 3 || f.hasEnded() })
		return f.count() == 3
	})
}

// Who is not trusted any more hears of no more changes.
func TestFollowerIsDistrusted(t *testing.T) {
	server, client := newHosts(t, "tcp")
	peers, shelf := trust(client), newShelf(entries(t, 1, 3)...)
	serve(t, server, protocol.ServerConfig{Peers: peers, Catalogue: shelf})
	f := follow(t, client, server.ID(), protocol.Cursor{}, protocol.ClientConfig{})
	eventually(t, "entries", func() bool { return f.count() == 3 })
	peers.revoke(client.ID())
	shelf.add(entries(t, 4, 4)...)
	if err := f.wait(); !errors.Is(err, protocol.ErrClosed) || f.count() != 3 {
		t.Errorf("ended with %v after %d entries", err, f.count())
	}
	err := follow(t, client, server.ID(), f.cursor, protocol.ClientConfig{}).wait()
	if !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("second time: %v", err)
	}
}

func TestFollowEndsWithServer(t *testing.T) {
	server, client := newHosts(t, "quic")
	stop := serve(t, server, protocol.ServerConfig{Peers: trust(client), Catalogue: newShelf(entries(t, 1, 3)...)})
	f := follow(t, client, server.ID(), protocol.Cursor{}, protocol.ClientConfig{})
	eventually(t, "entries", func() bool { return f.count() == 3 })
	stop()
	if err := f.wait(); !errors.Is(err, protocol.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
}

// A stream that waits for changes holds no memory for batches.
func TestIdleFollowerHoldsNoMemory(t *testing.T) {
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Peers: trust(client), Catalogue: newShelf(entries(t, 1, 600)...)})
	f := follow(t, client, server.ID(), protocol.Cursor{}, protocol.ClientConfig{})
	eventually(t, "entries", func() bool { return f.count() == 600 })
	for name, h := range map[string]host.Host{"server": server, "client": client} {
		eventually(t, "the "+name+" to give memory back", func() bool {
			memory, streams := int64(0), 0
			for _, conn := range h.Network().Conns() {
				for _, s := range conn.GetStreams() {
					if s.Protocol() == protocol.CatalogueID {
						memory, streams = memory+s.Scope().Stat().Memory, streams+1
					}
				}
			}
			return streams == 1 && memory <= 64<<10
		})
	}
}
