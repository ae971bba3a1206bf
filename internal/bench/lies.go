package main

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/internal/rig"
)

// runLiar fetches from two honest sources and one that lies.
func runLiar(ctx context.Context, b *bench) ([]figure, error) {
	const mbit = 100
	s, err := b.newSeveral(ctx, 512*mib, mbit, mbit)
	defer s.remove()
	if err != nil {
		return nil, err
	}
	host, err := s.lan.addHost(ctx, mbit)
	if err != nil {
		return nil, err
	}
	liar, addr, err := b.startChild(ctx, host.Prefix, "liar", host.Listen, s.path)
	if err != nil {
		return nil, err
	}
	defer liar.end()
	m := startMeter(false)
	result, err := s.fetcher.Fetch(ctx, s.cid, nil, append(s.addrs(), addr)...)
	if err != nil {
		return nil, err
	}
	wall, _ := m.read()
	banned, err := isBanned(ctx, s.fetcher, addr)
	if err != nil {
		return nil, err
	}
	if banned == 0 {
		fmt.Fprintln(b.log, "bench: the liar is not banned; log of the fetcher:", rig.Tail(s.fetcher.Home+"/daemon.log"))
	}
	figures := []figure{
		{"wall", "s", wall},
		{"wall / that of the honest two alone", "×", wall / (float64(s.size) * 8 / 1e6 / (2 * mbit))},
		{"received beyond the file", "MiB", float64(result.BytesReceived-s.size) / mib},
		{"liar is banned", "1 = yes", banned},
	}
	return append(figures, memory("fetcher", s.fetcher)...), nil
}

// isBanned is 1 if a node remembers that this peer lied, else 0.
func isBanned(ctx context.Context, n *node, addr string) (float64, error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return 0, err
	}
	peers, err := n.API.Peers(ctx)
	for _, p := range peers {
		if p.PeerID == info.ID.String() && p.Banned {
			return 1, err
		}
	}
	return 0, err
}
