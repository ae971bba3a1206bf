package exchange_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/manifest"
)

// swarm is some sources and several fetchers that all know each other.
type swarm struct {
	size    int64
	sources []*link
	full    *store
	up      []*link // of the fetchers
	sinks   []*fakeSink
	fakes   []*fakePeer
	begun   []atomic.Bool // which fetchers can be asked
	took    []time.Duration
	looking sync.WaitGroup
	leaver  int           // a fetcher that goes away
	leaves  time.Duration // when; 0 is never
}

// askAgain is how soon a fetcher asks first for one that was not there.
const askAgain = time.Second

func newSwarm(size int64, sources, fetchers int, sourceMbits, fetcherMbits float64) *swarm {
	s := &swarm{size: size, full: newStore(manifest.AllHoldings(size))}
	for range sources {
		s.sources = append(s.sources, newLink(sourceMbits))
	}
	for range fetchers {
		s.up = append(s.up, newLink(fetcherMbits))
		s.sinks = append(s.sinks, newSink(size))
	}
	s.begun = make([]atomic.Bool, fetchers)
	s.took = make([]time.Duration, fetchers)
	return s
}

// introduce gives fetcher i the others until ctx ends, each once it is there. One
// that has not begun is looked for again after a pause that grows.
func (s *swarm) introduce(ctx context.Context, i int, roundTrip time.Duration) <-chan exchange.Peer {
	peers := make(chan exchange.Peer, len(s.up)+len(s.sources))
	for j, up := range s.sources {
		peers <- s.fake(fmt.Sprint("source", j), up, s.full, roundTrip)
	}
	for j, up := range s.up {
		if j == i {
			continue
		}
		p := s.fake(name(j), up, s.sinks[j].store, roundTrip)
		s.looking.Go(func() {
			for pause := askAgain; !s.begun[j].Load(); pause *= 2 {
				if sleep(ctx, pause*3/4+rand.N(pause/2)) != nil {
					return
				}
			}
			peers <- p
		})
	}
	return peers
}

func name(fetcher int) string { return fmt.Sprint("fetcher", fetcher) }

func (s *swarm) fake(id string, up *link, held *store, roundTrip time.Duration) *fakePeer {
	p := newFake(id, s.size, 1, roundTrip)
	p.up, p.client, p.store = up, up.newClient(), held
	if s.leaves > 0 && id == name(s.leaver) {
		p.life = s.leaves
	}
	s.fakes = append(s.fakes, p)
	return p
}

// run lets every fetcher fetch; fetcher i starts i*apart after the first.
func (s *swarm) run(t *testing.T, roundTrip, apart time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	var links, fetchers sync.WaitGroup
	for _, l := range slices.Concat(s.up, s.sources) {
		links.Go(func() { l.run(ctx) })
	}
	start := time.Now()
	for i, sink := range s.sinks {
		peers := s.introduce(ctx, i, roundTrip)
		fetchers.Go(func() {
			time.Sleep(time.Duration(i) * apart)
			s.begun[i].Store(true)
			x := exchange.New(s.size, nil, sink, exchange.Config{Self: name(i)})
			ctx, cancel := s.lifeOf(ctx, i)
			defer cancel()
			if err := x.Run(ctx, peers); err != nil && ctx.Err() == nil {
				t.Errorf("fetcher %d: %v", i, err)
			}
			s.took[i] = time.Since(start)
			if d := x.Stats().Duplicate; d*100 >= s.size {
				t.Errorf("fetcher %d: %d duplicate bytes", i, d)
			}
		})
	}
	fetchers.Wait()
	cancel()
	s.looking.Wait()
	links.Wait()
}

// lifeOf ends when fetcher i goes away.
func (s *swarm) lifeOf(ctx context.Context, i int) (context.Context, context.CancelFunc) {
	if s.leaves > 0 && i == s.leaver {
		return context.WithTimeout(ctx, s.leaves)
	}
	return context.WithCancel(ctx)
}

// cost is what the sources have sent, in sizes of the video.
func (s *swarm) cost() float64 {
	var sent int64
	for _, l := range s.sources {
		sent += l.bytes()
	}
	return float64(sent) / float64(s.size)
}

// TestSwarm fetches from one source with a narrow uplink at eight places at
// once. What the source must send is what nobody else can give.
func TestSwarm(t *testing.T) {
	tests := []struct {
		name                   string
		size                   int64
		sources, fetchers      int
		sourceMbits, peerMbits float64
		apart                  time.Duration
	}{
		{"1 to 8", 1024 * mib, 1, 8, 100, 100, 0},
		{"1 to 8, short", 256 * mib, 1, 8, 100, 1000, 25 * time.Millisecond},
		{"1 to 8, short, narrow", 256 * mib, 1, 8, 100, 100, 25 * time.Millisecond},
		{"1 to 8, wide peers", 1024 * mib, 1, 8, 50, 400, 0},
		{"1 to 8, one after another", 1024 * mib, 1, 8, 100, 100, time.Second},
		{"2 to 8", 1024 * mib, 2, 8, 50, 100, 0},
		{"1 to 3", 512 * mib, 1, 3, 50, 100, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSwarm(test.size, test.sources, test.fetchers, test.sourceMbits, test.peerMbits)
				s.run(t, 20*time.Millisecond, test.apart)
				one := idealTime(test.size, test.sourceMbits*float64(test.sources))
				var last time.Duration
				for i, took := range s.took {
					last = max(last, took)
					checkWhole(t, s.sinks[i])
				}
				for _, p := range s.fakes {
					checkReleased(t, p)
				}
				cost := s.cost()
				t.Logf("sources sent %.2f times the video, last done after %.2f times one fetch", cost, last.Seconds()/one.Seconds())
				if cost > 1.2 {
					t.Errorf("sources sent %.2f times the video, want at most 1.2", cost)
				}
				if limit := one + one/4 + test.apart*time.Duration(test.fetchers); last > limit {
					t.Errorf("last done after %v, want at most %v", last, limit)
				}
			})
		})
	}
}
