package exchange_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/manifest"
)

const faultSize = 512 * mib

// halfTime is when two equal peers are half-way.
var halfTime = idealTime(faultSize, 100, 100) / 2

// fault is one way for the first of several peers to go wrong, and how much
// longer that may take than the bytes that all could have sent meanwhile.
type fault struct {
	name   string
	mbits  []float64 // the first peer has the fault
	fault  func(p *fakePeer)
	events func(ctx context.Context, fakes []*fakePeer, peers chan<- exchange.Peer)
	ideal  time.Duration
	late   time.Duration // allowed on top
	waste  int64         // bytes received and of no use
}

var faults = []fault{
	{
		name: "killed half-way", mbits: []float64{100, 100},
		fault: func(p *fakePeer) { p.life = halfTime },
		ideal: halfTime + idealTime(faultSize/2, 100), late: 2 * time.Second,
	},
	{
		name: "frozen half-way", mbits: []float64{100, 100},
		events: func(ctx context.Context, fakes []*fakePeer, _ chan<- exchange.Peer) {
			if sleep(ctx, halfTime) == nil {
				fakes[0].up.freeze(true)
			}
		},
		ideal: halfTime + idealTime(faultSize/2, 100), late: 5 * time.Second,
	},
	{
		name: "frozen near the end", mbits: []float64{100, 100},
		events: func(ctx context.Context, fakes []*fakePeer, _ chan<- exchange.Peer) {
			if sleep(ctx, 2*halfTime-2*time.Second) == nil {
				fakes[0].up.freeze(true)
			}
		},
		ideal: 2*halfTime + 2*time.Second, late: 3 * time.Second,
	},
	{
		name: "frozen for 20 s", mbits: []float64{50, 50},
		events: func(ctx context.Context, fakes []*fakePeer, _ chan<- exchange.Peer) {
			if sleep(ctx, 10*time.Second) != nil {
				return
			}
			fakes[0].up.freeze(true)
			if sleep(ctx, 20*time.Second) == nil {
				fakes[0].up.freeze(false)
			}
		},
		ideal: idealTime(faultSize, 50, 50) + 10*time.Second, late: 3 * time.Second, waste: 2 * mib,
	},
	{
		name: "frozen from the start", mbits: []float64{100, 100},
		fault: func(p *fakePeer) { p.up.freeze(true) },
		ideal: idealTime(faultSize, 100), late: time.Second,
	},
	{
		name: "all but one frozen", mbits: []float64{100, 100, 100, 100, 100},
		events: func(ctx context.Context, fakes []*fakePeer, _ chan<- exchange.Peer) {
			for i, p := range fakes[1:] { // one after another, the last ones near the end
				if sleep(ctx, time.Duration(3-i)*time.Second) == nil {
					p.up.freeze(true)
				}
			}
		},
		ideal: 6*time.Second + idealTime(faultSize-26*100e6/8, 100), late: 5 * time.Second,
	},
	{
		name: "lies", mbits: []float64{100, 100, 50},
		fault: func(p *fakePeer) { p.lieEvery = 10 },
		ideal: idealTime(faultSize, 100, 50), late: 0, waste: 2 * mib,
	},
	{
		name: "lies at once", mbits: []float64{100, 100},
		fault: func(p *fakePeer) { p.lieEvery = 1 },
		ideal: idealTime(faultSize, 100), late: time.Second, waste: 2 * mib,
	},
	{
		name: "fails now and then", mbits: []float64{100, 100},
		fault: func(p *fakePeer) { p.failEvery = 50 },
		ideal: idealTime(faultSize, 100, 100), late: 4 * time.Second,
	},
	{
		name: "fails always", mbits: []float64{100, 100},
		fault: func(p *fakePeer) { p.failEvery = 1 },
		ideal: idealTime(faultSize, 100), late: time.Second,
	},
	{
		name: "boasts", mbits: []float64{100, 100},
		fault: func(p *fakePeer) { p.boast, p.store.held = true, manifest.NewHoldings(faultSize) },
		ideal: idealTime(faultSize, 100), late: time.Second,
	},
	{
		name: "has and then has not", mbits: []float64{100, 100},
		events: func(ctx context.Context, fakes []*fakePeer, _ chan<- exchange.Peer) {
			if sleep(ctx, halfTime) == nil {
				fakes[0].store.edit(func(h *manifest.Holdings) { *h = *manifest.NewHoldings(faultSize) })
			}
		},
		ideal: halfTime + idealTime(faultSize/2, 100), late: 2 * time.Second,
	},
	{
		name: "goes and returns", mbits: []float64{100, 100},
		fault: func(p *fakePeer) { p.life = halfTime },
		events: func(ctx context.Context, fakes []*fakePeer, peers chan<- exchange.Peer) {
			if sleep(ctx, halfTime+5*time.Second) == nil {
				fakes[0].life = 0
				peers <- fakes[0]
			}
		},
		ideal: 2*halfTime + 5*time.Second/2, late: 2 * time.Second,
	},
	{
		name: "comes again before it has gone", mbits: []float64{100, 100},
		fault: func(p *fakePeer) { p.life = halfTime },
		events: func(ctx context.Context, fakes []*fakePeer, peers chan<- exchange.Peer) {
			if sleep(ctx, halfTime-time.Second) == nil {
				again := newFake(fakes[0].id, faultSize, 1, 0)
				again.up, again.client = fakes[0].up, fakes[0].up.newClient()
				peers <- again
			}
		},
		ideal: 2 * halfTime, late: 2 * time.Second,
	},
	{
		name: "holds a part that grows", mbits: []float64{100, 100},
		fault: func(p *fakePeer) { p.store.held = firstBlocks(faultSize, 2) },
		events: func(ctx context.Context, fakes []*fakePeer, _ chan<- exchange.Peer) {
			for b := 2; b < manifest.NumBlocks(faultSize); b++ {
				if sleep(ctx, time.Second) != nil {
					return
				}
				fakes[0].store.edit(func(h *manifest.Holdings) { h.Add(b, h.FullMask(b)) })
			}
		},
		ideal: 2 * halfTime, late: 2 * time.Second,
	},
}

func TestFaults(t *testing.T) {
	for _, test := range faults {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var fakes []*fakePeer
				for i, m := range test.mbits {
					fakes = append(fakes, newFake(string(rune('a'+i)), faultSize, m, 30*time.Millisecond))
				}
				if test.fault != nil {
					test.fault(fakes[0])
				}
				o := fetch(t, faultSize, fakes, func(ctx context.Context, peers chan<- exchange.Peer) {
					if test.events != nil {
						test.events(ctx, fakes, peers)
					}
				})
				report(t, o, test.ideal)
				if limit := test.ideal + test.late; o.took > limit {
					t.Errorf("took %v, want at most %v", o.took, limit)
				}
				if waste := o.stats.Received - faultSize; waste > test.waste {
					t.Errorf("%d bytes wasted, want at most %d", waste, test.waste)
				}
				checkDuplicates(t, o)
			})
		})
	}
}

func firstBlocks(size int64, n int) *manifest.Holdings {
	h := manifest.NewHoldings(size)
	for b := range n {
		h.Add(b, h.FullMask(b))
	}
	return h
}

// TestRampAfterFiveSeconds sees a far peer's window filled soon, and bounded.
func TestRampAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1024 * mib
		p := newFake("far", size, 200, 100*time.Millisecond)
		var at5, at15 int64
		fetch(t, size, []*fakePeer{p}, func(ctx context.Context, _ chan<- exchange.Peer) {
			if sleep(ctx, 5*time.Second) == nil {
				at5 = p.up.bytes()
			}
			if sleep(ctx, 10*time.Second) == nil {
				at15 = p.up.bytes()
			}
		})
		if got := float64(at15-at5) / 10 / p.up.rate; got < 0.9 {
			t.Errorf("%.1f %% of the rate after 5 s, want 90 %%", 100*got)
		}
		if owed := p.maxOwed.Load(); owed > 64*mib {
			t.Errorf("%d bytes in flight at one peer", owed)
		}
	})
}

// TestLiar checks what is told of a peer that lied, and that it is not let in again.
func TestLiar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 64 * mib
		liar, honest := newFake("liar", size, 100, 0), newFake("honest", size, 100, 0)
		liar.lieEvery = 3
		var told []string
		sink := newSink(size)
		x := exchange.New(size, nil, sink, exchange.Config{
			OnBad: func(peer string, _, _ int, err error) {
				if !errors.Is(err, manifest.ErrCorrupt) {
					t.Errorf("OnBad got %v", err)
				}
				told = append(told, peer)
			},
		})
		defer runLinks(liar, honest)()
		peers := make(chan exchange.Peer)
		go func() {
			peers <- liar
			time.Sleep(2 * time.Second)
			peers <- liar
			peers <- honest
			close(peers)
		}()
		if err := x.Run(t.Context(), peers); err != nil {
			t.Fatal(err)
		}
		if len(told) != 1 || told[0] != "liar" {
			t.Errorf("told of %q, want the liar once", told)
		}
		if sink.lies > 2 {
			t.Errorf("%d lies were taken", sink.lies)
		}
		for _, p := range x.Stats().Peers {
			if want := map[string]exchange.State{"liar": exchange.Banned, "honest": exchange.Active}[p.ID]; p.State != want && p.State != exchange.Gone {
				t.Errorf("%s is %s, want %s", p.ID, p.State, want)
			}
		}
		checkWhole(t, sink)
		checkReleased(t, liar)
	})
}
