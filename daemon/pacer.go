package daemon

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/vidsync/vidsync/protocol"
)

// pacer holds a flow of bytes to a rate that may change at any time. It
// implements protocol.Pacer and is safe for concurrent use.
type pacer struct {
	mu      sync.Mutex
	rate    int64         // bytes a second; 0: no limit
	limiter *rate.Limiter // nil: no limit
	changed chan struct{} // closed when limiter is replaced
}

func newPacer() *pacer { return &pacer{changed: make(chan struct{})} }

// set changes the rate. Who waits begins to wait anew: at another rate, a
// limiter's promises would be kept too early or too late.
func (p *pacer) set(perSecond int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if perSecond == p.rate {
		return
	}
	p.rate, p.limiter = perSecond, nil
	if perSecond > 0 {
		burst := max(protocol.PaceBytes, perSecond/8) // an eighth of a second
		p.limiter = rate.NewLimiter(rate.Limit(perSecond), int(burst))
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pacer) now() (*rate.Limiter, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limiter, p.changed
}

// WaitN blocks until n more bytes, at most protocol.PaceBytes, may pass. It returns
// ctx's error if that ends first.
func (p *pacer) WaitN(ctx context.Context, n int) error {
	for {
		limiter, changed := p.now()
		if limiter == nil {
			return ctx.Err()
		}
		turn := limiter.ReserveN(time.Now(), n)
		if !turn.OK() {
			return fmt.Errorf("%d bytes at once are over the limiter's burst of %d", n, limiter.Burst())
		}
		done, err := await(ctx, turn.Delay(), changed)
		if done {
			return nil
		}
		turn.Cancel()
		if err != nil {
			return err
		}
	}
}

// await waits, and tells whether the time has passed and not only something
// changed.
func await(ctx context.Context, pause time.Duration, changed <-chan struct{}) (done bool, err error) {
	if pause <= 0 {
		return ctx.Err() == nil, ctx.Err()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-changed:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
