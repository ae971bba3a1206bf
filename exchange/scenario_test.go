package exchange_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vidsync/vidsync/exchange"
)

// outcome is what came of fetching one video.
type outcome struct {
	took  time.Duration
	stats exchange.Stats
	sink  *fakeSink
	sent  int64 // bytes that left the peers' links, wanted or not
}

// runLinks runs the peers' links until stop is called.
func runLinks(fakes ...*fakePeer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var links sync.WaitGroup
	for _, p := range fakes {
		links.Go(func() { p.up.run(ctx) })
	}
	return func() {
		cancel()
		links.Wait()
	}
}

// fetch runs an Exchange in a bubble until it has the video of size bytes.
// What happens to the peers meanwhile is up to events.
func fetch(t *testing.T, size int64, fakes []*fakePeer, events func(ctx context.Context, peers chan<- exchange.Peer)) outcome {
	t.Helper()
	o := outcome{sink: newSink(size)}
	x := exchange.New(size, nil, o.sink, exchange.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	stop := runLinks(fakes...)
	peers := make(chan exchange.Peer, 2*len(fakes))
	for _, p := range fakes {
		peers <- p
	}
	var happening sync.WaitGroup
	if events != nil {
		happening.Go(func() { events(ctx, peers) })
	}
	start := time.Now()
	err := x.Run(ctx, peers)
	o.took, o.stats = time.Since(start), x.Stats()
	cancel()
	happening.Wait()
	stop()
	if err != nil {
		t.Errorf("Run: %v", err)
	}
	for _, p := range fakes {
		o.sent += p.up.bytes()
		checkReleased(t, p)
	}
	checkWhole(t, o.sink)
	return o
}

func checkReleased(t *testing.T, p *fakePeer) {
	t.Helper()
	if d, r := p.delivered.Load(), p.released.Load(); d != r {
		t.Errorf("peer %s: %d pieces delivered, %d released", p.id, d, r)
	}
}

func checkWhole(t *testing.T, s *fakeSink) {
	t.Helper()
	if held, _ := s.snapshot(); !held.Complete() {
		t.Errorf("%d of %d bytes in the sink", held.Bytes(), s.size)
	}
	if s.twice != 0 {
		t.Errorf("%d pieces were put twice", s.twice)
	}
}

func checkDuplicates(t *testing.T, o outcome) {
	t.Helper()
	if o.stats.Duplicate*100 >= o.stats.Size {
		t.Errorf("%d duplicate bytes of %d, want under 1 %%", o.stats.Duplicate, o.stats.Size)
	}
}

// idealTime is how long a video takes at all rates together.
func idealTime(size int64, mbits ...float64) time.Duration {
	sum := 0.0
	for _, m := range mbits {
		sum += m
	}
	return time.Duration(float64(size) * 8 / (sum * 1e6) * float64(time.Second))
}

func report(t *testing.T, o outcome, ideal time.Duration) {
	t.Helper()
	t.Logf("took %.2fs, ideal %.2fs (%.1f %%), duplicate %.2f %%, sent %.2f %%",
		o.took.Seconds(), ideal.Seconds(), 100*ideal.Seconds()/o.took.Seconds(),
		100*float64(o.stats.Duplicate)/float64(o.stats.Size), 100*float64(o.sent)/float64(o.stats.Size))
}

// healthy are sets of peers without faults.
var healthy = []struct {
	name      string
	size      int64
	mbits     []float64
	roundTrip time.Duration
	jitter    time.Duration
	least     float64 // share of the sum of rates
}{
	{"one", 256 * mib, []float64{100}, 20 * time.Millisecond, 0, 0.97},
	{"one slow", 16 * mib, []float64{1}, 50 * time.Millisecond, 0, 0.97},
	{"one very slow", 4 * mib, []float64{0.1}, 50 * time.Millisecond, 0, 0.97},
	{"one far", 1024 * mib, []float64{200}, 100 * time.Millisecond, 0, 0.95},
	{"one by satellite", 512 * mib, []float64{50}, 700 * time.Millisecond, 0, 0.93},
	{"one fast", 2048 * mib, []float64{8000}, time.Millisecond, 0, 0.97},
	{"four equal", 1024 * mib, []float64{100, 100, 100, 100}, 20 * time.Millisecond, 0, 0.95},
	{"four equal, far", 1024 * mib, []float64{100, 100, 100, 100}, 150 * time.Millisecond, 0, 0.95},
	{"four equal, jitter", 1024 * mib, []float64{100, 100, 100, 100}, 40 * time.Millisecond, 100 * time.Millisecond, 0.95},
	{"four unlike", 1024 * mib, []float64{100, 50, 10, 1}, 30 * time.Millisecond, 0, 0.95},
	{"four unlike, short", 256 * mib, []float64{100, 50, 10, 1}, 30 * time.Millisecond, 0, 0.90},
	{"very unlike", 1024 * mib, []float64{1000, 1, 1, 1}, 5 * time.Millisecond, 0, 0.95},
	{"twenty", 2048 * mib, []float64{50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 20, 20, 20, 20, 20, 5, 5, 5, 5, 5}, 40 * time.Millisecond, 0, 0.95},
	{"odd size", 333*mib + 12345, []float64{80, 40}, 40 * time.Millisecond, 0, 0.95},
	{"tiny", 1, []float64{10}, 0, 0, 0},
}

func TestThroughput(t *testing.T) {
	for _, test := range healthy {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var fakes []*fakePeer
				for i, m := range test.mbits {
					p := newFake(fmt.Sprint("peer", i), test.size, m, test.roundTrip)
					p.jitter = test.jitter
					fakes = append(fakes, p)
				}
				o := fetch(t, test.size, fakes, nil)
				ideal := idealTime(test.size, test.mbits...)
				report(t, o, ideal)
				if share := ideal.Seconds() / o.took.Seconds(); share < test.least {
					t.Errorf("%.1f %% of the sum of rates, want %.0f %%", 100*share, 100*test.least)
				}
				if o.sent > test.size+test.size/50+2*mib {
					t.Errorf("%d bytes were sent for %d", o.sent, test.size)
				}
				checkDuplicates(t, o)
			})
		})
	}
}
