package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// A fault is something that fails and comes back.
type fault struct {
	name string
	most time.Duration // that it is away
	down func(ctx context.Context, rng *rand.Rand) (how string, err error)
	up   func(ctx context.Context) error
	back time.Time // when it comes back; zero while it is there
}

// faultPause is the mean pause between two moments at which something may fail.
const faultPause = 3 * time.Second

// breakThings has faults come and go, several at a time too, until the time is
// over. Then all is well again. It counts how often each of them was there.
func (s *soak) breakThings(ctx context.Context, rng *rand.Rand, faults []*fault, length time.Duration) (map[string]int, error) {
	count := map[string]int{}
	end := time.Now().Add(length)
	next := time.Now().Add(faultPause)
	for time.Now().Before(end) {
		if err := s.mend(ctx, faults, time.Now()); err != nil {
			return count, err
		}
		if time.Now().After(next) {
			next = time.Now().Add(time.Duration(rng.Int64N(int64(2 * faultPause))))
			if err := s.breakOne(ctx, rng, faults[rng.IntN(len(faults))], count); err != nil {
				return count, err
			}
		}
		if err := sleep(ctx, 10*poll); err != nil {
			return count, err
		}
	}
	return count, s.mend(ctx, faults, end.Add(24*time.Hour))
}

func (s *soak) breakOne(ctx context.Context, rng *rand.Rand, f *fault, count map[string]int) error {
	if !f.back.IsZero() {
		return nil
	}
	how, err := f.down(ctx, rng)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	count[how]++
	away := time.Duration(rng.Int64N(int64(f.most)))
	f.back = time.Now().Add(away)
	s.diary.Info("broken", "what", f.name, "how", how, "for", away)
	return nil
}

// mend brings back what is due.
func (s *soak) mend(ctx context.Context, faults []*fault, now time.Time) error {
	for _, f := range faults {
		if f.back.IsZero() || f.back.After(now) {
			continue
		}
		if err := f.up(ctx); err != nil {
			return fmt.Errorf("%s comes back: %w", f.name, err)
		}
		f.back = time.Time{}
		s.diary.Info("mended", "what", f.name)
	}
	return nil
}
