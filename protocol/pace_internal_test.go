package protocol

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// checkedPacer passes on to another and looks at what is asked.
type checkedPacer struct {
	Pacer
	t     *testing.T
	asked int
}

func (c *checkedPacer) WaitN(ctx context.Context, n int) error {
	if n < 1 || n > PaceBytes {
		c.t.Errorf("asked for %d bytes", n)
	}
	c.asked += n
	return c.Pacer.WaitN(ctx, n)
}

// However low the rate, what is asked for together is there soon; at high
// rates it is as much as is written at once.
func TestPaceFitsItsStretchToTheRate(t *testing.T) {
	for _, test := range []struct {
		rate        rate.Limit
		least, most int // of the stretch in the end
	}{
		{rate.Inf, stretchBytes, stretchBytes},
		{100e6, stretchBytes, stretchBytes},
		{1e6, 32 << 10, 128 << 10},
		{64e3, 4 << 10, 8 << 10},
		{1e3, leastProgress, leastProgress},
	} {
		t.Run(fmt.Sprint(test.rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limiter := &checkedPacer{Pacer: rate.NewLimiter(test.rate, PaceBytes), t: t}
				p := newPace(limiter)
				sum := 0
				for range 100 {
					n := p.stretch(10 << 20)
					if err := p.wait(t.Context(), n); err != nil {
						t.Fatal(err)
					}
					sum += n
				}
				if p.size < test.least || p.size > test.most {
					t.Errorf("stretches of %d bytes, want %d to %d", p.size, test.least, test.most)
				}
				if limiter.asked != sum {
					t.Errorf("asked for %d bytes, sent %d", limiter.asked, sum)
				}
			})
		})
	}
}

func TestPaceWithoutLimit(t *testing.T) {
	p := newPace(nil)
	if n := p.stretch(1 << 30); n != 1<<30 {
		t.Errorf("stretch of %d bytes", n)
	}
	if err := p.wait(t.Context(), 1<<30); err != nil {
		t.Error(err)
	}
}

// Under the lowest rate that the documents speak of, each of as many streams as
// there are buffers moves well within the deadline of its client.
func TestUplinkKeepsAllStreamsMoving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUplink(rate.NewLimiter(16_000, PaceBytes))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				last, moved := time.Now(), 0
				for {
					n, err := up.await(ctx, peer.ID(fmt.Sprint(i%8)), 1<<20)
					if err != nil {
						return
					}
					moved += n
					if moved < leastProgress {
						continue
					}
					if pause := time.Since(last); pause > 5*defaultTimeout/6 {
						t.Errorf("%d bytes after %v", moved, pause)
						return
					}
					last, moved = time.Now(), 0
				}
			})
		}
		wg.Wait()
	})
}

// A new rate holds from the next stretch on, which is not long to wait for.
func TestUplinkTakesNewRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := rate.NewLimiter(16_000, PaceBytes)
		up := newUplink(limiter)
		send := func(bytes int) time.Duration {
			start := time.Now()
			for bytes > 0 {
				n, err := up.await(t.Context(), "peer", bytes)
				if err != nil {
					t.Fatal(err)
				}
				bytes -= n
			}
			return time.Since(start)
		}
		if took := send(160_000 + PaceBytes); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("160 kB took %v at 16 kB/s", took)
		}
		limiter.SetLimit(1_600_000)
		if took := send(1_600_000); took > 2*time.Second {
			t.Errorf("1.6 MB took %v at 1.6 MB/s", took)
		}
		limiter.SetLimit(16_000)
		if took := send(160_000 + PaceBytes); took < 9*time.Second {
			t.Errorf("160 kB took %v at 16 kB/s again", took)
		}
	})
}
