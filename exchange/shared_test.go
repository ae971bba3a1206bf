package exchange_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/manifest"
)

// fellow is a peer that is fetching too, and whose video grows without this
// node's help.
type fellow struct {
	held  func(size int64) *manifest.Holdings // at the start
	every time.Duration                       // between two pieces that it gets; 0: it gets none
	boast bool
}

func nothing(size int64) *manifest.Holdings { return manifest.NewHoldings(size) }

// TestFellowsDoNotHold sees that a fetcher does not wait long for what fell to
// others, whatever becomes of them.
func TestFellowsDoNotHold(t *testing.T) {
	tests := []struct {
		name  string
		mbits float64 // of the source
		many  int
		fellow
	}{
		{"idle", 100, 3, fellow{held: nothing}},
		{"idle, fast source", 2000, 3, fellow{held: nothing}},
		{"idle with a part", 100, 3, fellow{held: func(size int64) *manifest.Holdings { return firstBlocks(size, 2) }}},
		{"slow", 100, 1, fellow{held: nothing, every: 2 * time.Second}},
		{"slow, fast source", 2000, 1, fellow{held: nothing, every: time.Second}},
		{"dripping", 100, 3, fellow{held: nothing, every: time.Second}},
		{"boasting", 100, 3, fellow{held: nothing, every: time.Second, boast: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size = 512 * mib
				fakes := []*fakePeer{newFake("source", size, test.mbits, 40*time.Millisecond)}
				for i := range test.many {
					p := newFake(name(i), size, 5, 40*time.Millisecond)
					p.store.held, p.boast = test.held(size), test.boast
					fakes = append(fakes, p)
				}
				o := fetch(t, size, fakes, func(ctx context.Context, _ chan<- exchange.Peer) {
					for n := 0; test.every > 0 && sleep(ctx, test.every) == nil; n++ {
						at := n * 37 // of the whole video
						fakes[1].store.edit(func(h *manifest.Holdings) {
							h.Add(at/manifest.PiecesPerBlock%h.NumBlocks(), 1<<(at%manifest.PiecesPerBlock))
						})
					}
				})
				ideal := idealTime(size, test.mbits)
				report(t, o, ideal)
				if limit := ideal + ideal/20 + 3*time.Second; o.took > limit {
					t.Errorf("took %v, want at most %v", o.took, limit)
				}
				checkDuplicates(t, o)
			})
		})
	}
}

// TestSwarmLosesFetcher sees the others go on with what fell to a fetcher that
// goes away half-way.
func TestSwarmLosesFetcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, mbits = 256 * mib, 100
		one := idealTime(size, mbits)
		s := newSwarm(size, 1, 8, mbits, 10*mbits)
		s.leaves, s.leaver = one/2, 7
		s.run(t, 20*time.Millisecond, 25*time.Millisecond)
		var last time.Duration
		for i, took := range s.took {
			if i != s.leaver {
				last = max(last, took)
				checkWhole(t, s.sinks[i])
			}
		}
		t.Logf("source sent %.2f times the video, last done after %.2f times one fetch", s.cost(), last.Seconds()/one.Seconds())
		if s.cost() > 1.2 || last > one+one/4 {
			t.Errorf("source sent %.2f times the video, last done after %v", s.cost(), last)
		}
	})
}

// TestSetMaxInFlight sees the limit change while pieces come.
func TestSetMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 512 * mib
		p := newFake("a", size, 200, 200*time.Millisecond)
		x := exchange.New(size, nil, newSink(size), exchange.Config{MaxInFlight: 16 * mib})
		limits := []struct{ set, want int64 }{{16 * mib, 16 * mib}, {4 * mib, 4 * mib}, {-1, mib}, {0, 28 * mib}}
		var got []int64
		var setting sync.WaitGroup
		setting.Go(func() {
			for _, limit := range limits {
				x.SetMaxInFlight(limit.set)
				time.Sleep(4 * time.Second)
				got = append(got, x.Stats().Peers[0].InFlight)
			}
		})
		if err := start(t, x, t.Context(), p); err != nil {
			t.Fatal(err)
		}
		setting.Wait()
		for i, limit := range limits {
			if got[i] > limit.want || got[i] < limit.want*3/4 {
				t.Errorf("limit %d: %d bytes in flight, want about %d", limit.set, got[i], limit.want)
			}
		}
		x.SetMaxInFlight(mib) // after the end it does nothing
	})
}

// prompt is a peer that notes what it is asked first, and when.
type prompt struct {
	*fakePeer
	silent time.Duration // before it says what it holds
	ready  time.Time     // when it said so
	once   sync.Once
	block  int
	waited time.Duration
}

func (p *prompt) Run(ctx context.Context, update func(block int, mask uint32)) error {
	p.running.Add(1)
	defer p.running.Add(-1)
	if err := sleep(ctx, p.silent); err != nil {
		return err
	}
	p.ready = time.Now()
	for b := range manifest.NumBlocks(p.size) {
		update(b, ^uint32(0))
	}
	<-ctx.Done()
	return ctx.Err()
}

func (p *prompt) Get(ctx context.Context, block, piece int) ([]byte, []byte, func(), error) {
	p.once.Do(func() { p.block, p.waited = block, time.Since(p.ready) })
	return p.fakePeer.Get(ctx, block, piece)
}

// TestReaderDoesNotWait sees the first piece for a reader asked for at once:
// when a peer says that it has it, or when somebody begins to read.
func TestReaderDoesNotWait(t *testing.T) {
	for _, after := range []time.Duration{0, 3 * time.Millisecond} {
		t.Run(fmt.Sprint("reads after ", after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size, block, silent = 256 * mib, 5, 100 * time.Millisecond
				p := &prompt{fakePeer: newFake("a", size, 1000, 0), silent: silent}
				x := exchange.New(size, nil, newSink(size), exchange.Config{})
				defer runLinks(p.fakePeer)()
				if after == 0 {
					x.Prioritise(block)
				} else {
					time.AfterFunc(silent+after, func() { x.Prioritise(block) })
				}
				peers := make(chan exchange.Peer, 1)
				peers <- p
				if err := x.Run(t.Context(), peers); err != nil {
					t.Fatal(err)
				}
				if p.block != block || p.waited != after {
					t.Errorf("block %d was asked for after %v, want block %d after %v", p.block, p.waited, block, after)
				}
			})
		})
	}
}
