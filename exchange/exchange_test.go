package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs an Exchange with these peers and returns Run's result once it is
// there. The channel of peers is closed.
func start(t *testing.T, x *exchange.Exchange, ctx context.Context, fakes ...*fakePeer) error {
	t.Helper()
	defer runLinks(fakes...)()
	peers := make(chan exchange.Peer, len(fakes))
	for _, p := range fakes {
		peers <- p
	}
	close(peers)
	err := x.Run(ctx, peers)
	for _, p := range fakes {
		if n := p.running.Load(); n != 0 {
			t.Errorf("peer %s still runs after Run has returned", p.id)
		}
		checkReleased(t, p)
	}
	return err
}

func TestNothingMissing(t *testing.T) {
	for _, size := range []int64{0, 1, 40 * mib} {
		x := exchange.New(size, manifest.AllHoldings(size), newSink(size), exchange.Config{})
		if err := x.Run(t.Context(), nil); err != nil {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 100 * mib
		have := manifest.NewHoldings(size)
		have.Add(0, 0xffff)
		have.Add(2, 7)
		sink := newSink(size)
		sink.held = have.Clone()
		x := exchange.New(size, have, sink, exchange.Config{})
		have.Add(1, 1) // the exchange has its own clone
		if err := start(t, x, t.Context(), newFake("a", size, 100, 0)); err != nil {
			t.Fatal(err)
		}
		checkWhole(t, sink)
		if got, want := x.Stats().Received, int64(size-19*mib); got != want {
			t.Errorf("received %d bytes, want %d", got, want)
		}
	})
}

func TestNoProvider(t *testing.T) {
	const size = 64 * mib
	tests := []struct {
		name  string
		peers func() []*fakePeer
	}{
		{"no peer", func() []*fakePeer { return nil }},
		{"lost", func() []*fakePeer {
			p := newFake("a", size, 8, 0)
			p.life = 10 * time.Second
			return []*fakePeer{p}
		}},
		{"banned", func() []*fakePeer {
			p := newFake("a", size, 8, 0)
			p.lieEvery = 5
			return []*fakePeer{p}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := exchange.New(size, nil, newSink(size), exchange.Config{})
				if err := start(t, x, t.Context(), test.peers()...); !errors.Is(err, exchange.ErrNoProvider) {
					t.Errorf("Run returned %v, want ErrNoProvider", err)
				}
			})
		})
	}
}

// TestLastPiecesOfLostPeer sees pieces count that are still being written when
// their only peer is lost.
func TestLastPiecesOfLostPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 2 * mib
		sink, p := newSink(size), newFake("a", size, 1000, 0)
		sink.delay, p.life = time.Minute, time.Second
		x := exchange.New(size, nil, sink, exchange.Config{})
		if err := start(t, x, t.Context(), p); err != nil {
			t.Fatal(err)
		}
		checkWhole(t, sink)
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 640 * mib
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		x := exchange.New(size, nil, newSink(size), exchange.Config{})
		err := start(t, x, ctx, newFake("a", size, 100, time.Second), newFake("b", size, 1, 0))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(began); took > 11*time.Second { // the links take a while to end
			t.Errorf("Run returned after %v", took)
		}
	})
}

func TestSinkFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 640 * mib
		sink := newSink(size)
		sink.room, sink.full = 20, errors.New("no space left")
		x := exchange.New(size, nil, sink, exchange.Config{})
		err := start(t, x, t.Context(), newFake("a", size, 100, 0), newFake("b", size, 100, 0))
		if !errors.Is(err, sink.full) {
			t.Errorf("Run returned %v", err)
		}
	})
}

// TestSlowSink sees a sink that is slower than the peers hold them back.
func TestSlowSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, limit, writers = 100 * mib, 6 * mib, 3
		sink := newSink(size)
		sink.delay = time.Second
		cfg := exchange.Config{MaxInFlight: limit, Writers: writers}
		x := exchange.New(size, nil, sink, cfg)
		p := newFake("a", size, 8000, 0)
		var most int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			for !sink.complete() {
				most = max(most, p.delivered.Load()-p.released.Load()+p.owed.Load()/mib)
				time.Sleep(10 * time.Millisecond)
			}
		}()
		began := time.Now()
		if err := start(t, x, t.Context(), p); err != nil {
			t.Fatal(err)
		}
		<-done
		if sink.peaks != writers {
			t.Errorf("%d pieces were written at once, want %d", sink.peaks, writers)
		}
		if most > limit/mib {
			t.Errorf("%d pieces in memory or asked for, want at most %d", most, limit/mib)
		}
		if took, ideal := time.Since(began), 100/writers*time.Second; took > ideal+3*time.Second {
			t.Errorf("took %v, want about %v", took, ideal)
		}
	})
}

func (s *fakeSink) complete() bool {
	held, _ := s.snapshot()
	return held.Complete()
}

// TestOrder sees whole peers asked in the order of the video.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 512 * mib
		sink := newSink(size)
		x := exchange.New(size, nil, sink, exchange.Config{})
		if err := start(t, x, t.Context(), newFake("a", size, 100, 0), newFake("b", size, 100, 0)); err != nil {
			t.Fatal(err)
		}
		if worst := disorder(sink.order, 0, 16); worst > 1 {
			t.Errorf("a piece came %d blocks too early or too late", worst)
		}
	})
}

// disorder is the largest distance in blocks of an arrival from where it would
// be if blocks came in order from first, going round at n.
func disorder(order []int, first, n int) int {
	worst := 0
	for i, b := range order {
		want := (first + i/manifest.PiecesPerBlock) % n
		worst = max(worst, b-want, want-b)
	}
	return worst
}

func TestPrioritise(t *testing.T) {
	for _, whole := range []bool{true, false} {
		t.Run(fmt.Sprint("whole peers ", whole), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size, first, n = 512 * mib, 10, 16
				fakes := []*fakePeer{newFake("a", size, 100, 0), newFake("b", size, 100, 0)}
				if !whole {
					fakes[1].store.held = manifest.NewHoldings(size)
				}
				sink := newSink(size)
				x := exchange.New(size, nil, sink, exchange.Config{})
				x.Prioritise(first)
				if err := start(t, x, t.Context(), fakes...); err != nil {
					t.Fatal(err)
				}
				tail := sink.order[:(n-first)*manifest.PiecesPerBlock]
				if worst := disorder(tail, first, n); worst > 1 {
					t.Errorf("a piece came %d blocks too early or too late", worst)
				}
			})
		})
	}
}

// TestPrioritiseOutside sees blocks outside the video taken for the nearest.
func TestPrioritiseOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, block := range []int{-5, 99} {
			const size = 96 * mib
			sink := newSink(size)
			x := exchange.New(size, nil, sink, exchange.Config{})
			x.Prioritise(block)
			if err := start(t, x, t.Context(), newFake("a", size, 100, 0)); err != nil {
				t.Fatal(err)
			}
			if want := max(0, min(block, 2)); sink.order[0] != want {
				t.Errorf("Prioritise(%d) began with block %d, want %d", block, sink.order[0], want)
			}
		}
	})
}

// TestSlowPeerStaysBehind sees that the blocks read first are not left to a
// peer that takes long for them.
func TestSlowPeerStaysBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1024 * mib
		sink := newSink(size)
		x := exchange.New(size, nil, sink, exchange.Config{})
		if err := start(t, x, t.Context(), newFake("a", size, 200, 0), newFake("b", size, 1, 0)); err != nil {
			t.Fatal(err)
		}
		last := slices.Index(sink.order[200:], 2) // block 2 has long been complete then
		if last >= 0 {
			t.Errorf("a piece of block 2 came as number %d", 200+last)
		}
	})
}

// TestHostileUpdates sees that what a peer says of blocks that do not exist
// does no harm.
func TestHostileUpdates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 33*mib + 1
		p := &hostilePeer{newFake("a", size, 100, 0)}
		sink := newSink(size)
		x := exchange.New(size, nil, sink, exchange.Config{})
		defer runLinks(p.fakePeer)()
		peers := make(chan exchange.Peer, 1)
		peers <- p
		if err := x.Run(t.Context(), peers); err != nil {
			t.Fatal(err)
		}
		checkWhole(t, sink)
		if got := p.gets.Load(); got != 34 {
			t.Errorf("%d pieces were asked for, want 34", got)
		}
	})
}

type hostilePeer struct{ *fakePeer }

func (p *hostilePeer) Run(ctx context.Context, update func(block int, mask uint32)) error {
	p.running.Add(1)
	defer p.running.Add(-1)
	for _, block := range []int{-1, 2, 1 << 40, 0, 1} {
		update(block, ^uint32(0))
	}
	<-ctx.Done()
	update(0, 0)
	return ctx.Err()
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 512 * mib
		x := exchange.New(size, nil, newSink(size), exchange.Config{})
		if s := x.Stats(); s.Size != size || s.Done != 0 || len(s.Peers) != 0 {
			t.Errorf("before Run: %+v", s)
		}
		a, b := newFake("a", size, 80, 60*time.Millisecond), newFake("b", size, 20, 10*time.Millisecond)
		var middle exchange.Stats
		go func() {
			time.Sleep(15 * time.Second)
			b.up.freeze(true)
			time.Sleep(15 * time.Second)
			middle = x.Stats()
		}()
		if err := start(t, x, t.Context(), a, b); err != nil {
			t.Fatal(err)
		}
		pa, pb := middle.Peers[0], middle.Peers[1]
		if got := pa.BytesPerSecond * 8 / 1e6; got < 72 || got > 88 {
			t.Errorf("a's rate is %.1f Mbit/s, want about 80", got)
		}
		if pa.RoundTrip < 40*time.Millisecond || pa.RoundTrip > 120*time.Millisecond {
			t.Errorf("a's round trip is %v, want about 60 ms", pa.RoundTrip)
		}
		if pa.State != exchange.Active || pb.State != exchange.Stalled {
			t.Errorf("states are %s and %s", pa.State, pb.State)
		}
		if pb.BytesPerSecond != 0 || pb.InFlight > mib {
			t.Errorf("stalled peer: %+v", pb)
		}
		if end := x.Stats(); end.Done != size || end.Received != size+end.Duplicate || pa.Bytes == 0 {
			t.Errorf("at the end: %+v", end)
		}
	})
}

// TestManyPeers sees that peers which come and go for ever are forgotten.
func TestManyPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := exchange.New(mib, nil, newSink(mib), exchange.Config{})
		peers := make(chan exchange.Peer)
		go func() {
			defer close(peers)
			for i := range 1000 {
				p := newFake(fmt.Sprint("peer", i), mib, 1, 0)
				p.life = time.Millisecond
				peers <- p
				time.Sleep(time.Second)
			}
		}()
		if err := x.Run(t.Context(), peers); !errors.Is(err, exchange.ErrNoProvider) {
			t.Errorf("Run returned %v, want ErrNoProvider", err)
		}
		if n := len(x.Stats().Peers); n > 300 {
			t.Errorf("%d peers are remembered", n)
		}
	})
}

// TestRandomSchedules throws every fault at once and sees each piece in the
// sink exactly once. A goroutine left behind fails the bubble.
func TestRandomSchedules(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomSchedule(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func randomSchedule(t *testing.T, r *rand.Rand) {
	size := r.Int64N(160*mib) + 1
	fakes := []*fakePeer{newFake("honest", size, 5+r.Float64()*50, time.Duration(r.Int64N(int64(time.Second))))}
	for i := range r.IntN(6) {
		fakes = append(fakes, randomPeer(r, fmt.Sprint("peer", i), size))
	}
	o := fetch(t, size, fakes, func(ctx context.Context, peers chan<- exchange.Peer) {
		for sleep(ctx, time.Duration(r.Int64N(int64(3*time.Second)))) == nil {
			p := fakes[r.IntN(len(fakes))]
			switch r.IntN(4) {
			case 0:
				if p != fakes[0] {
					p.up.freeze(r.IntN(2) == 0)
				}
			case 1:
				if p != fakes[0] {
					b, mask := r.IntN(manifest.NumBlocks(size)), r.Uint32()
					p.store.edit(func(h *manifest.Holdings) { h.Remove(b, ^uint32(0)); h.Add(b, mask) })
				}
			case 2:
				select {
				case peers <- p: // once more
				default:
				}
			}
		}
	})
	if received := o.stats.Received - o.stats.Duplicate - int64(o.sink.lies)*mib; received > size {
		t.Errorf("%d useful bytes received of %d", received, size)
	}
}

func randomPeer(r *rand.Rand, id string, size int64) *fakePeer {
	p := newFake(id, size, 1+r.Float64()*100, time.Duration(r.Int64N(int64(500*time.Millisecond))))
	p.jitter = time.Duration(r.Int64N(int64(time.Second)))
	switch r.IntN(6) {
	case 0:
		p.lieEvery = 1 + r.Int64N(20)
	case 1:
		p.failEvery = 1 + r.Int64N(20)
	case 2:
		p.denyEvery = 1 + r.Int64N(20)
	case 3:
		p.life = time.Duration(r.Int64N(int64(20 * time.Second)))
	case 4:
		p.store.held, p.boast = manifest.NewHoldings(size), r.IntN(2) == 0
	}
	return p
}
