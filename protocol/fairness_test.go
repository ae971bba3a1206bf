package protocol_test

import (
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// askForPieces opens a pieces stream, asks for as many pieces as may be asked
// for at once, and reads nothing.
func askForPieces(t *testing.T, h host.Host, server peer.ID, v *video) network.Stream {
	t.Helper()
	s := openRaw(t, h, server, protocol.PiecesID)
	ask := []proto.Message{&wire.Open{Video: v.manifest.CID().Bytes(), Capability: []byte(capability)}}
	for id := range uint32(protocol.MaxOutstanding) {
		ask = append(ask, getRequest(uint64(id)+1, 0, id%32))
	}
	if _, err := s.Write(encode(t, ask...)); err != nil {
		t.Fatal(err)
	}
	return s
}

// standing counts the streams that are not reset.
func standing(streams []network.Stream) int {
	n := 0
	for _, s := range streams {
		if _, err := s.Write([]byte{0}); err == nil { // a request of no kind
			n++
		}
	}
	return n
}

// Peers that ask and never read have all the buffers between them. One that
// reads gets its pieces, at the cost of a few of their streams.
func TestSilentPeersDoNotHoldUpOthers(t *testing.T) {
	v := smallVideo(t)
	lib := newLibrary(v)
	server := newHost(t, "tcp")
	serve(t, server, protocol.ServerConfig{
		Library: lib, ServingPieces: 16, PiecesPerPeer: 2, StandstillAfter: time.Second, BusyAfter: longWait,
	})
	var silent []network.Stream
	for range 8 {
		h := newHost(t, "tcp")
		connect(t, h, server)
		for range 4 {
			silent = append(silent, askForPieces(t, h, server.ID(), v))
		}
	}
	eventually(t, "windows are full", func() bool {
		before := lib.served()
		time.Sleep(200 * time.Millisecond)
		return before > 16 && lib.served() == before
	})
	if n := standing(silent); n != len(silent) {
		t.Errorf("%d of %d streams stand while nobody waits", n, len(silent))
	}
	client := newHost(t, "tcp")
	connect(t, client, server)
	honest := run(t, client, server.ID(), v.manifest, protocol.ClientConfig{})
	g, ctx := errgroup.WithContext(t.Context())
	for i := range 35 {
		g.Go(func() error { return checkPiece(ctx, honest.Remote, v, i/32, i%32) })
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if n := standing(silent); n == len(silent) || n < len(silent)-8 {
		t.Errorf("%d of %d silent streams are left, want most but not all", n, len(silent))
	}
}

// greedy peers read as fast as they can, each with some streams.
func greedy(t *testing.T, server host.Host, v *video, streams int, got *atomic.Int64) {
	t.Helper()
	h := newHost(t, "tcp")
	connect(t, h, server)
	for range streams {
		s := askForPieces(t, h, server.ID(), v)
		var wg sync.WaitGroup
		t.Cleanup(func() { _ = s.Reset(); wg.Wait() })
		wg.Go(func() { _, _ = io.Copy(counter{got}, s) })
	}
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}

// Peers get the same, however many streams they have, whether memory or a rate
// is what is scarce.
func TestPeersShareEvenly(t *testing.T) {
	v := splitVideo(t, manifest.BlockSize, nil, func(int64, int64) bool { return true })
	for _, test := range []struct {
		name  string
		cfg   protocol.ServerConfig
		bytes int64 // of all
	}{
		{"memory", protocol.ServerConfig{ServingPieces: 1}, 300 << 20},
		{"rate", protocol.ServerConfig{Up: rate.NewLimiter(24<<20, protocol.PaceBytes)}, 96 << 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Library = untouched{newLibrary(v)}
			server := newHost(t, "tcp")
			serve(t, server, test.cfg)
			streams := []int{1, 2, 4, 16}
			got := make([]atomic.Int64, len(streams))
			for i, n := range streams {
				greedy(t, server, v, n, &got[i])
			}
			// Those that came first had more while they were alone.
			before := make([]int64, len(got))
			for i := range got {
				eventually(t, "all are served", func() bool { return got[i].Load() > 0 })
			}
			for i := range got {
				before[i] = got[i].Load()
			}
			sum := func() (all int64) {
				for i := range got {
					all += got[i].Load() - before[i]
				}
				return all
			}
			eventually(t, "enough", func() bool { return sum() >= test.bytes })
			share := sum() / int64(len(streams))
			for i, n := range streams {
				// By streams the first would have a 6th of it, and the last nearly three times.
				if bytes := got[i].Load() - before[i]; bytes < share/2 || bytes > share*3/2 {
					t.Errorf("peer with %d streams got %d MiB, an even share is %d", n, bytes>>20, share>>20)
				}
			}
		})
	}
}
