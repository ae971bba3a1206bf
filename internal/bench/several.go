package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/vidsync/vidsync/api"
)

const senderPort = 4199

// several is a lan with sources of one video and a fetcher.
type several struct {
	b       *bench
	lan     *lan
	mbit    []float64 // uplink of each source
	hosts   []*lanHost
	sources []*node
	fetcher *node
	at      *lanHost // the fetcher's
	path    string
	size    int64
	cid     string
}

// newSeveral starts a source for each uplink, and a fetcher without limits.
// The caller calls remove, also after an error.
func (b *bench) newSeveral(ctx context.Context, size int64, mbit ...float64) (s *several, err error) {
	s = &several{b: b, mbit: mbit, size: b.scaled(size)}
	if s.path, err = b.video(s.size); err != nil {
		return s, err
	}
	if s.lan, err = newLAN(ctx, true); err != nil {
		return s, err
	}
	for _, up := range mbit {
		host, err := s.lan.addHost(ctx, up)
		if err != nil {
			return s, err
		}
		source, err := b.startNode(ctx, "source", host.Place)
		if err != nil {
			return s, err
		}
		s.hosts, s.sources = append(s.hosts, host), append(s.sources, source)
		if s.cid, err = source.Add(ctx, s.path); err != nil {
			return s, err
		}
	}
	if s.at, err = s.lan.addHost(ctx, 0); err != nil {
		return s, err
	}
	s.fetcher, err = b.startNode(ctx, "fetcher", s.at.Place)
	return s, err
}

func (s *several) remove() {
	var nodes sync.WaitGroup
	for _, n := range append(s.sources, s.fetcher) {
		if n != nil {
			nodes.Go(n.remove)
		}
	}
	nodes.Wait()
	if s.lan != nil {
		s.lan.remove()
	}
}

func (s *several) addrs() []string {
	var addrs []string
	for _, n := range s.sources {
		addrs = append(addrs, n.Addr)
	}
	return addrs
}

// plain is what plain TCP carries from all sources together, in Mbit/s.
func (s *several) plain(ctx context.Context) (float64, error) {
	var addrs []string
	for _, h := range s.hosts {
		addr := fmt.Sprintf("%s:%d", h.ip, senderPort)
		sender, _, err := s.b.startChild(ctx, h.Prefix, "sender", addr)
		if err != nil {
			return 0, err
		}
		defer sender.end()
		addrs = append(addrs, addr)
	}
	return s.b.carried(ctx, s.at.Place, addrs...)
}

// runFour fetches from four equal sources.
func runFour(ctx context.Context, b *bench) ([]figure, error) {
	return fromAll(ctx, b, 1536*mib, 100, 100, 100, 100)
}

// runUnequal fetches from sources of which one has a hundred times the uplink
// of another.
func runUnequal(ctx context.Context, b *bench) ([]figure, error) {
	return fromAll(ctx, b, 640*mib, 100, 50, 10, 1)
}

// fromAll fetches from sources with these uplinks at once.
func fromAll(ctx context.Context, b *bench, size int64, mbit ...float64) ([]figure, error) {
	s, err := b.newSeveral(ctx, size, mbit...)
	defer s.remove()
	if err != nil {
		return nil, err
	}
	plain, err := s.plain(ctx)
	if err != nil {
		return nil, err
	}
	m := startMeter(false)
	var steady track
	result, err := s.fetcher.Fetch(ctx, s.cid, steady.note, s.addrs()...)
	if err != nil {
		return nil, err
	}
	wall, _ := m.read()
	sum := 0.0
	for _, up := range mbit {
		sum += up
	}
	rate := float64(s.size) * 8 / 1e6 / wall
	figures := []figure{
		{"plain TCP from all sources", "Mbit/s", plain},
		{"fetch", "Mbit/s", rate},
		{"fetch / sum of the uplinks", "%", 100 * rate / sum},
		{"fetch / plain TCP", "%", 100 * rate / plain},
		{"wall over the ideal", "s", wall - float64(s.size)*8/1e6/sum},
		{"duplicates", "% of file", percent(result.DuplicateBytes, s.size)},
	}
	figures = append(figures, memory("sources", s.sources...)...)
	return append(figures, memory("fetcher", s.fetcher)...), nil
}

// track keeps how far a fetch was at which time.
type track struct {
	started time.Time
	after   []time.Duration
	done    []int64
}

func (t *track) note(p api.Progress) {
	if t.started.IsZero() {
		t.started = time.Now()
	}
	if p.Phase == "fetching" {
		t.after = append(t.after, time.Since(t.started))
		t.done = append(t.done, p.Done)
	}
}

// rateAfter is how many bytes a second came from a time on, until the last
// report; false if there are no two reports since.
func (t *track) rateAfter(begin time.Duration) (float64, bool) {
	last := len(t.done) - 1
	for i, after := range t.after {
		if after >= begin && t.after[last] > after {
			return float64(t.done[last]-t.done[i]) / (t.after[last] - after).Seconds(), true
		}
	}
	return 0, false
}

// runKilled kills one of two sources half-way.
func runKilled(ctx context.Context, b *bench) ([]figure, error) {
	return loseOne(ctx, b, func(n *node) error {
		n.Kill()
		return nil
	})
}

// runStopped stops one of two sources half-way: its connections stay open and
// nothing comes.
func runStopped(ctx context.Context, b *bench) ([]figure, error) {
	return loseOne(ctx, b, func(n *node) error { return n.Freeze() })
}

func loseOne(ctx context.Context, b *bench, lose func(*node) error) ([]figure, error) {
	const mbit = 100
	s, err := b.newSeveral(ctx, 512*mib, mbit, mbit)
	defer s.remove()
	if err != nil {
		return nil, err
	}
	var lost time.Time
	var left int64
	var failed error
	started := time.Now()
	result, err := s.fetcher.Fetch(ctx, s.cid, func(p api.Progress) {
		if lost.IsZero() && p.Size > 0 && p.Done >= p.Size/2 {
			lost, left, failed = time.Now(), p.Size-p.Done, lose(s.sources[1])
		}
	}, s.addrs()...)
	wall := time.Since(started)
	if err != nil || failed != nil {
		return nil, fmt.Errorf("lose a source: %w", firstError(err, failed))
	}
	if lost.IsZero() {
		return nil, skip("the fetch ended before a source could be lost; use a larger -scale")
	}
	ideal := lost.Sub(started).Seconds() + float64(left)*8/1e6/mbit
	figures := []figure{
		{"wall", "s", wall.Seconds()},
		{"over the ideal", "s", wall.Seconds() - ideal},
		{"duplicates", "% of file", percent(result.DuplicateBytes, s.size)},
	}
	return append(figures, memory("fetcher", s.fetcher)...), nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
