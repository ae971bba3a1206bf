package daemon

import (
	"sync"
	"time"

	"github.com/vidsync/vidsync/api"
)

// meter turns a growing count into a rate and an end time. The rate is over
// the last few seconds, so that it tells what happens now.
type meter struct {
	samples []sample // oldest first
}

type sample struct {
	at   time.Time
	done int64
}

// meterWindow is how far back a rate looks.
const meterWindow = 8 * time.Second

func newMeter() *meter { return &meter{samples: []sample{{at: time.Now()}}} }

// progress reports that done of size is reached. One goroutine may call it.
func (m *meter) progress(phase string, done, size int64) api.Progress {
	now := time.Now()
	m.samples = append(m.samples, sample{at: now, done: done})
	for len(m.samples) > 2 && now.Sub(m.samples[0].at) > meterWindow {
		m.samples = m.samples[1:]
	}
	p := api.Progress{Phase: phase, Done: done, Size: size, ETASeconds: -1, Peers: []api.PeerShare{}}
	if span := now.Sub(m.samples[0].at).Seconds(); span > 0 {
		p.BytesPerSecond = float64(done-m.samples[0].done) / span
	}
	if p.BytesPerSecond > 0 {
		p.ETASeconds = float64(size-done) / p.BytesPerSecond
	}
	return p
}

// every calls f at intervals, on one goroutine, until the returned function is
// called; that one returns after the last call of f.
func every(interval time.Duration, f func()) (stop func()) {
	var wg sync.WaitGroup
	end := make(chan struct{})
	wg.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				f()
			}
		}
	})
	return func() {
		close(end)
		wg.Wait()
	}
}
