package exchange_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/manifest"
)

// obtain puts a block into the sink by another way than a peer.
func obtain(x *exchange.Exchange, sink *fakeSink, block int) {
	full := manifest.NewHoldings(sink.size).FullMask(block)
	sink.edit(func(h *manifest.Holdings) { h.Add(block, full) })
	x.Have(block, full)
}

func TestHaveSparesPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 96 * mib
		sink, peer := newSink(size), newFake("a", size, 100, 100*time.Millisecond)
		x := exchange.New(size, nil, sink, exchange.Config{})
		time.AfterFunc(time.Second, func() {
			obtain(x, sink, 0) // some of it has come, some is asked for
			obtain(x, sink, 2)
			x.Have(2, 1) // says nothing of the others
		})
		if err := start(t, x, t.Context(), peer); err != nil {
			t.Fatal(err)
		}
		checkWhole(t, sink)
		stats := x.Stats()
		if most := int64(32+14+2) * mib; stats.Received > most { // 12.5 MB came before
			t.Errorf("received %d bytes, want at most %d", stats.Received, most)
		}
		if stats.Done != size {
			t.Errorf("done %d of %d bytes", stats.Done, size)
		}
	})
}

func TestHaveAllEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 40 * mib
		sink := newSink(size)
		x := exchange.New(size, nil, sink, exchange.Config{})
		obtain(x, sink, 1) // before Run
		time.AfterFunc(time.Second, func() { obtain(x, sink, 0) })
		if err := x.Run(t.Context(), make(chan exchange.Peer)); err != nil {
			t.Fatal(err)
		}
		checkWhole(t, sink)
	})
}

func TestHaveWhatIsBeingWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 8 * mib
		sink, peer := newSink(size), newFake("a", size, 1000, 0)
		sink.delay = 10 * time.Second // all of it has come by then
		x := exchange.New(size, nil, sink, exchange.Config{})
		time.AfterFunc(5*time.Second, func() { x.Have(0, 1) })
		if err := start(t, x, t.Context(), peer); err != nil {
			t.Fatal(err)
		}
		checkWhole(t, sink)
		if got := x.Stats().Received; got != size {
			t.Errorf("received %d bytes, want %d", got, size)
		}
	})
}
