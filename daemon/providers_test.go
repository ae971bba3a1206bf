package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/protocol"
)

func testNetwork(t *testing.T) *network {
	t.Helper()
	key, _ := testKey(t)
	net, err := startNetwork(Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoMDNS: true}, key, &trustList{}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := net.Close(); err != nil {
			t.Error(err)
		}
	})
	return net
}

func TestHopeless(t *testing.T) {
	net := testNetwork(t)
	_, id := testKey(t)
	refused, absent := fmt.Errorf("x: %w", protocol.ErrRefused), fmt.Errorf("x: %w", fs.ErrNotExist)
	yes := func() bool { return true }
	tests := []struct {
		name   string
		change func(p *providers)
		waited time.Duration
		code   api.Code // 0: there is hope
		yields bool
	}{
		{"nobody known, at first", func(*providers) {}, aloneGrace / 2, 0, false},
		{"nobody known", func(*providers) {}, time.Hour, api.CodeUnavailable, false},
		{"nobody needed", func(p *providers) { p.rest() }, time.Hour, 0, false},
		{"refused", func(p *providers) { p.answer(id, refused) }, refusedGrace * 2, api.CodeRefused, false},
		{"absent", func(p *providers) { p.answer(id, absent) }, refusedGrace * 2, api.CodeUnavailable, false},
		{"no answer yet", func(p *providers) { p.answer(id, errNotAskedYet) }, unreachableGrace / 2, 0, false},
		{"no answer", func(p *providers) { p.answer(id, errNotAskedYet) }, unreachableGrace * 2, api.CodeUnavailable, false},
		{"serves", func(p *providers) { p.answer(id, nil); p.crowded = yes }, time.Hour, 0, false},
		{"lost", func(p *providers) { p.answer(id, nil); p.answer(id, errUnreachable) }, time.Hour, 0, false},
		{"lost, others wait", func(p *providers) { p.answer(id, nil); p.answer(id, errUnreachable); p.crowded = yes }, time.Hour, api.CodeUnavailable, true},
		{"just lost, others wait", func(p *providers) { p.answer(id, nil); p.answer(id, errUnreachable); p.crowded = yes }, yieldAfter / 2, 0, false},
		{"lied", func(p *providers) { p.answer(id, nil); p.ban(id.String(), errors.New("lie")) }, time.Hour, api.CodeCorrupt, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProviders(net, new(trustList), new(banList), testVideo(t, 1).CID(), net.log)
			tt.change(p)
			err := p.hopeless(time.Now().Add(tt.waited))
			wait, _ := errors.AsType[*waitError](err)
			if api.CodeOf(err) != tt.code || tt.yields != (wait != nil && wait.yields) {
				t.Errorf("hopeless: %v, want code %d, yields %v", err, tt.code, tt.yields)
			}
		})
	}
}

// A provider that is named with two addresses is asked at both.
func TestAddressesOfOneProvider(t *testing.T) {
	net := testNetwork(t)
	_, id := testKey(t)
	p := newProviders(net, new(trustList), new(banList), testVideo(t, 1).CID(), net.log)
	p.join([]byte(`{"peers":["/ip4/192.0.2.1/tcp/1/p2p/` + id.String() + `","/ip4/192.0.2.2/tcp/2/p2p/` + id.String() + `"]}`))
	if got := p.fresh(); len(got) != 1 || len(got[0].Addrs) != 2 {
		t.Errorf("asked are %v", got)
	}
}

// hearOf has the network hear of n peers on the LAN and returns the last.
func hearOf(t *testing.T, net *network, n int) peer.ID {
	t.Helper()
	var last peer.ID
	for range n {
		_, last = testKey(t)
		net.HandlePeerFound(peer.AddrInfo{ID: last, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/192.0.2.1/tcp/4101")}})
	}
	return last
}

func TestStrangersCrowdOutNobody(t *testing.T) {
	net := testNetwork(t)
	trust, err := openTrustList(t.TempDir() + "/peers.json")
	if err != nil {
		t.Fatal(err)
	}
	last := hearOf(t, net, maxLANPeers+10)
	if _, ok := net.onLAN(last); len(net.lanPeers()) != maxLANPeers || !ok {
		t.Errorf("%d LAN peers are remembered, the newest is: %v", len(net.lanPeers()), ok)
	}
	p := newProviders(net, trust, new(banList), testVideo(t, 1).CID(), net.log)
	if got := len(p.fresh()); got != maxStrangers {
		t.Errorf("%d strangers are asked, want %d", got, maxStrangers)
	}
	_, friend := testKey(t)
	p.join([]byte(`{"peers":["/ip4/192.0.2.2/tcp/4101/p2p/` + friend.String() + `"]}`))
	if fresh := p.fresh(); len(fresh) != 1 || fresh[0].ID != friend {
		t.Errorf("asked next: %v, want the one that was named", fresh)
	}
}
