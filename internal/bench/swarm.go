package main

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

const (
	swarmFetchers = 8
	swarmMbit     = 100
)

// runSwarm brings a video from one source to eight fetchers that know each
// other, after it has brought it to one.
func runSwarm(ctx context.Context, b *bench) ([]figure, error) {
	s, err := b.newSeveral(ctx, 256*mib, swarmMbit)
	defer s.remove()
	if err != nil {
		return nil, err
	}
	source := s.sources[0]
	alone := startMeter(false)
	if _, err := s.fetcher.Fetch(ctx, s.cid, nil, source.Addr); err != nil {
		return nil, err
	}
	one, _ := alone.read()
	s.fetcher.remove()
	fetchers, err := s.startFetchers(ctx)
	defer removeAll(fetchers)
	if err != nil {
		return nil, err
	}
	before, err := source.settledStatus(ctx)
	if err != nil {
		return nil, err
	}
	together := startMeter(false)
	if err := fetchTogether(ctx, s.cid, source.Addr, fetchers); err != nil {
		return nil, err
	}
	all, _ := together.read()
	after, err := source.settledStatus(ctx)
	figures := []figure{
		{"time of one", "s", one},
		{"time of all 8", "s", all},
		{"all / one", "×", all / one},
		{"source's upload / file", "×", float64(after.BytesOut-before.BytesOut) / float64(s.size)},
	}
	figures = append(figures, memory("source", source)...)
	return append(figures, memory("fetchers", fetchers...)...), err
}

// startFetchers starts nodes, each on a host of its own. Those that were
// started are returned with an error, too.
func (s *several) startFetchers(ctx context.Context) ([]*node, error) {
	var fetchers []*node
	for range swarmFetchers {
		host, err := s.lan.addHost(ctx, 0)
		if err != nil {
			return fetchers, err
		}
		n, err := s.b.startNode(ctx, "fetcher", host.Place)
		if err != nil {
			return fetchers, err
		}
		fetchers = append(fetchers, n)
	}
	return fetchers, nil
}

func removeAll(nodes []*node) {
	var ends sync.WaitGroup
	for _, n := range nodes {
		ends.Go(n.remove)
	}
	ends.Wait()
}

// fetchTogether lets every node fetch from the source and all others.
func fetchTogether(ctx context.Context, cid, source string, nodes []*node) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, n := range nodes {
		peers := []string{source}
		for j, other := range nodes {
			if j != i {
				peers = append(peers, other.Addr)
			}
		}
		g.Go(func() error {
			_, err := n.Fetch(ctx, cid, nil, peers...)
			return err
		})
	}
	return g.Wait()
}
