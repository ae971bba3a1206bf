package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// faults are all that can fail in the field.
func (f *field) faults() []*fault {
	return []*fault{f.daemonFault(f.edge, 3), f.daemonFault(f.server, 2), f.linkFault(), f.cardFault()}
}

// daemonFault kills a daemon so often, and else ends it in order: one time of
// four.
func (f *field) daemonFault(n *node, kills int) *fault {
	return &fault{
		name: n.name, most: 4 * time.Second,
		down: func(_ context.Context, rng *rand.Rand) (string, error) {
			if err := n.died(); err != nil {
				return "", err
			}
			f.measure(n)
			if rng.IntN(4) >= kills {
				n.stop()
				return n.role() + " stopped", nil
			}
			n.kill()
			return n.role() + " killed", nil
		},
		up: func(ctx context.Context) error { return n.start(ctx) },
	}
}

// measure takes note of the most memory that a daemon had until now.
func (f *field) measure(n *node) {
	if n.daemon != nil {
		f.peaks[n] = max(f.peaks[n], memoryOf(n.daemon.PID(), "VmHWM"))
	}
}

func (f *field) linkFault() *fault {
	return &fault{
		name: "link", most: 15 * time.Second,
		down: func(ctx context.Context, _ *rand.Rand) (string, error) { return "link cut", f.link.set(ctx, "down") },
		up:   func(ctx context.Context) error { return f.link.set(ctx, "up") },
	}
}

// cardFault takes the card away: half of the time while it is recorded on, else
// when the files that are open are finished.
func (f *field) cardFault() *fault {
	var lock *sync.RWMutex
	return &fault{
		name: "card", most: 12 * time.Second,
		down: func(ctx context.Context, rng *rand.Rand) (string, error) {
			lock = &f.recorder.files
			if rng.IntN(2) == 0 {
				lock = &f.recorder.card
			}
			lock.Lock()
			how, err := f.card.pull(ctx, rng.IntN(2) == 0)
			return "card pulled (" + how + ")", err
		},
		up: func(ctx context.Context) error {
			defer lock.Unlock()
			return f.card.plugIn(ctx)
		},
	}
}
