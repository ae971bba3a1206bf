package exchange

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vidsync/vidsync/manifest"
)

// TestIndex changes an index at random and compares what it keeps with what
// follows from the masks.
func TestIndex(t *testing.T) {
	const size = 150*manifest.BlockSize + 5*manifest.PieceSize + 1
	r := rand.New(rand.NewPCG(1, 2))
	ix := newIndex(size, manifest.NewHoldings(size), "self")
	for i := range 20_000 {
		at := piece{r.IntN(ix.blocks), 0}
		at.index = r.IntN(bits.Len32(ix.have.FullMask(at.block)))
		switch n := r.IntN(100); {
		case n == 0 && len(ix.holders) < 8:
			ix.join("peer")
		case n == 1 && len(ix.holders) > 0:
			ix.leave(ix.holders[r.IntN(len(ix.holders))])
		case n < 40 && len(ix.holders) > 0:
			ix.learn(ix.holders[r.IntN(len(ix.holders))], at.block, r.Uint32())
		case n < 60:
			ix.take(at)
		case n < 80:
			ix.giveBack(at)
		case n < 82:
			ix.add(at)
		}
		if i%500 == 0 {
			checkIndex(t, ix)
		}
	}
}

func checkIndex(t *testing.T, ix *index) {
	t.Helper()
	useful := make([]int, len(ix.holders))
	for b := range ix.blocks {
		fewest := noRank
		for i := range manifest.PiecesPerBlock {
			if holders := countHolders(ix, piece{b, i}); ix.wanted(b)&(1<<i) != 0 && holders > 0 {
				fewest = min(fewest, holders-1, maxRarity-1)
			}
		}
		if int(ix.rank[b]) != fewest {
			t.Fatalf("rank of block %d is %d, want %d", b, ix.rank[b], fewest)
		}
		for rank := range ix.ranked {
			if got := ix.ranked[rank].next(b, b+1) == b; got != (rank == fewest) {
				t.Fatalf("block %d in set of rank %d: %v", b, rank, got)
			}
		}
		for i, h := range ix.holders {
			want := h.holdings.Mask(b)&ix.wanted(b) != 0
			if got := h.useful.next(b, b+1) == b; got != want {
				t.Fatalf("block %d useful: %v, want %v", b, got, want)
			} else if got {
				useful[i]++
			}
		}
	}
	for i, h := range ix.holders {
		if h.useful.count != useful[i] {
			t.Fatalf("%d useful blocks counted, want %d", h.useful.count, useful[i])
		}
	}
}

func countHolders(ix *index, at piece) (n int) {
	for _, h := range ix.holders {
		if h.holds(at) {
			n++
		}
	}
	return n
}

// TestPickRarest sees the piece with the fewest holders picked, wherever it is.
func TestPickRarest(t *testing.T) {
	const size = 300 * manifest.BlockSize
	ix := newIndex(size, manifest.NewHoldings(size), "self")
	source, other := ix.join("peer"), ix.join("peer")
	for b := range ix.blocks {
		ix.learn(source, b, ^uint32(0))
		ix.learn(other, b, ^uint32(0))
	}
	ix.learn(other, 277, ^uint32(1<<13))
	for b := range headBlocks { // the head would come first
		for i := range manifest.PiecesPerBlock {
			ix.take(piece{b, i})
		}
	}
	if got, want := ix.pick(source, 0), (piece{277, 13}); got != want {
		t.Errorf("picked %v, want %v", got, want)
	}
}

// TestPickSpreads sees several fetchers of one source pick different pieces,
// and each stay in one block.
func TestPickSpreads(t *testing.T) {
	const size, fetchers = 200 * manifest.BlockSize, 8
	picked := make(map[piece]int)
	for range fetchers {
		ix := newIndex(size, firstHeld(size), "self")
		source := ix.join("peer")
		ix.join("peer") // another fetcher
		for b := range ix.blocks {
			ix.learn(source, b, ^uint32(0))
		}
		blocks := make(map[int]bool)
		for range manifest.PiecesPerBlock {
			at := ix.pick(source, 0)
			ix.take(at)
			picked[at]++
			blocks[at.block] = true
		}
		if len(blocks) != 1 {
			t.Errorf("a block's worth of pieces was picked from %d blocks", len(blocks))
		}
	}
	if want := fetchers * manifest.PiecesPerBlock / 2; len(picked) < want {
		t.Errorf("only %d different pieces, want at least %d", len(picked), want)
	}
}

// firstHeld returns the holdings of a node that has the head.
func firstHeld(size int64) *manifest.Holdings {
	h := manifest.NewHoldings(size)
	for b := range headBlocks {
		h.Add(b, ^uint32(0))
	}
	return h
}

func TestBlockSet(t *testing.T) {
	s := newBlockSet(200)
	for _, b := range []int{0, 63, 64, 130, 199, 130} {
		s.set(b, true)
	}
	s.set(64, false)
	s.set(65, false)
	if s.count != 4 {
		t.Errorf("count is %d, want 4", s.count)
	}
	tests := []struct{ from, to, want int }{
		{0, 200, 0}, {1, 200, 63}, {64, 200, 130}, {64, 130, -1}, {131, 200, 199},
		{131, 199, -1}, {199, 200, 199}, {200, 200, -1}, {150, 100, -1},
	}
	for _, test := range tests {
		if got := s.next(test.from, test.to); got != test.want {
			t.Errorf("next(%d, %d) = %d, want %d", test.from, test.to, got, test.want)
		}
	}
	for to, want := range map[int]int{200: 199, 199: 130, 130: 63, 64: 63, 63: 0, 1: 0, 0: -1} {
		if got := s.last(to); got != want {
			t.Errorf("last(%d) = %d, want %d", to, got, want)
		}
	}
}

func TestRate(t *testing.T) {
	var r rate
	for range 8 {
		r.add(100, 100*time.Millisecond)
	}
	if r.perSecond < 999 || r.perSecond > 1001 {
		t.Errorf("steady rate is %f, want 1000", r.perSecond)
	}
	r.add(100, 0) // together with the one before: neither a panic nor a leap
	if r.perSecond > 1200 {
		t.Errorf("a burst lifts the rate to %f", r.perSecond)
	}
	for range 100 {
		r.add(100, time.Second)
	}
	if r.perSecond < 99 || r.perSecond > 101 {
		t.Errorf("rate is %f after a long time at 100", r.perSecond)
	}
}

// BenchmarkScheduling asks for pieces of a 2 TiB video and has them land, so
// that its throughput is what the scheduler would allow at the most.
func BenchmarkScheduling(b *testing.B) {
	for _, fetching := range []int{0, 10} {
		b.Run(fmt.Sprintf("20 peers, %d of them fetching", fetching), func(b *testing.B) {
			x := benchExchange(2<<40, 20, fetching)
			now := time.Now()
			b.SetBytes(manifest.PieceSize)
			b.ReportAllocs()
			for b.Loop() {
				if len(x.flights) == 0 {
					now = now.Add(time.Second)
					x.schedule(now)
				}
				for at, f := range x.flights {
					now = now.Add(time.Millisecond)
					r := f.requests[0]
					r.peer.delivered(r, now)
					f.landed = true
					x.withdraw(r)
					delete(x.flights, at)
					x.index.giveBack(at) // it is wanted again, so the benchmark can last
					x.schedule(now)
					break
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pieces/s")
		})
	}
}

// benchExchange has peers that hold the whole video, and some that hold half
// of the pieces of every third block.
func benchExchange(size int64, peers, fetching int) *Exchange {
	x := New(size, nil, nil, Config{})
	for i := range peers {
		p := &peer{holder: x.index.join(fmt.Sprint("peer", i)), record: &record{}, start: func(r *request) { r.cancel = func() {} }}
		for b := range x.index.blocks {
			switch {
			case i >= fetching:
				x.index.learn(p.holder, b, ^uint32(0))
			case (b+i)%3 == 0:
				x.index.learn(p.holder, b, rand.Uint32())
			}
		}
		x.peers = append(x.peers, p)
	}
	return x
}
