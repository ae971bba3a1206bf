package daemon

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/protocol"
)

// So many peers have streams that nobody reads yet, and no more, however many
// there are.
func TestPlacesForEarlyStreams(t *testing.T) {
	n := &network{early: make(chan struct{}, maxEarly)}
	if _, ok := n.beginEarly(false); ok || len(n.early) != 0 {
		t.Error("who wants no place has one")
	}
	var first func()
	for i := range maxEarly {
		done, ok := n.beginEarly(true)
		if !ok {
			t.Fatalf("place %d is not given", i)
		}
		if first == nil {
			first = done
		}
	}
	if done, ok := n.beginEarly(true); ok {
		t.Error("a place too many is given")
	} else {
		done()
	}
	first()
	first() // counts once
	if len(n.early) != maxEarly-1 {
		t.Errorf("%d places are taken, want %d", len(n.early), maxEarly-1)
	}
}

// Only who was named or is trusted is asked for more than the manifest at first.
func TestWhoIsChosen(t *testing.T) {
	net := testNetwork(t)
	trust, err := openTrustList(t.TempDir() + "/peers.json")
	if err != nil {
		t.Fatal(err)
	}
	p := newProviders(net, trust, new(banList), testVideo(t, 1).CID(), net.log)
	_, named := testKey(t)
	_, static := testKey(t)
	_, stranger := testKey(t)
	p.join([]byte(`{"peers":["/ip4/192.0.2.2/tcp/4101/p2p/` + named.String() + `"]}`))
	net.setStatic([]peer.AddrInfo{{ID: static}})
	for id, want := range map[peer.ID]bool{named: true, static: true, stranger: false} {
		if got := p.isChosen(id); got != want {
			t.Errorf("%s is chosen: %v, want %v", id, got, want)
		}
	}
}

// A fetch that is not ready for peers in time keeps none of their streams, and
// gets the peer all the same.
func TestLateHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{early: make(chan struct{}, maxEarly)}
		p := &providers{net: n, peers: make(chan exchange.Peer)}
		l := &link{Remote: protocol.NewRemote(nil, "", testVideo(t, 1).CID(), nil, protocol.ClientConfig{})}
		done, ok := n.beginEarly(true)
		if !ok {
			t.Fatal("no place")
		}
		result := make(chan error, 1)
		go func() { result <- p.handOver(t.Context(), l, done) }()
		synctest.Wait()
		if len(n.early) != 1 {
			t.Error("the place is given back at once")
		}
		time.Sleep(earlyFor)
		synctest.Wait()
		if len(n.early) != 0 {
			t.Error("the place is kept")
		}
		if got := <-p.peers; got != l {
			t.Errorf("handed over: %v", got)
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}
