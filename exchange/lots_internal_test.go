package exchange

import (
	"fmt"
	"math/bits"
	"testing"

	"github.com/vidsync/vidsync/manifest"
)

// TestLot pins what nodes of all versions must agree on.
func TestLot(t *testing.T) {
	if got, want := lot(seedOf("a"), piece{2, 3}), uint64(0x5e12cc8007b048f8); got != want {
		t.Errorf("lot is %#x, want %#x", got, want)
	}
	if one, other := seedOf(""), seedOf(""); one == other {
		t.Error("nodes without an ID draw the same lots")
	}
}

// sharers returns what n fetchers know of a source and, but for those that they
// have not met yet, of each other.
func sharers(size int64, n int, met func(i, j int) bool) (indexes []*index, sources []*holder) {
	for i := range n {
		ix := newIndex(size, manifest.NewHoldings(size), fmt.Sprint("fetcher", i))
		source := ix.join("source")
		for b := range ix.blocks {
			ix.learn(source, b, ix.have.FullMask(b))
		}
		for j := range n {
			if j != i && met(i, j) {
				ix.join(fmt.Sprint("fetcher", j))
			}
		}
		indexes, sources = append(indexes, ix), append(sources, source)
	}
	return indexes, sources
}

// TestAllotted sees every piece fall to exactly one of several fetchers.
func TestAllotted(t *testing.T) {
	const size, fetchers = 20*manifest.BlockSize + 5*manifest.PieceSize + 1, 8
	indexes, sources := sharers(size, fetchers, func(int, int) bool { return true })
	fell := make(map[piece]int)
	for i, ix := range indexes {
		n := 0
		for at, ok := ix.allotted(sources[i]); ok; at, ok = ix.allotted(sources[i]) {
			ix.take(at)
			fell[at]++
			n++
		}
		if fair := manifest.AllHoldings(size).Pieces() / fetchers; n < fair/2 || n > 2*fair {
			t.Errorf("%d pieces fell to fetcher %d, want about %d", n, i, fair)
		}
	}
	if want := manifest.AllHoldings(size).Pieces(); len(fell) != want {
		t.Errorf("%d pieces fell to somebody, want %d", len(fell), want)
	}
	for at, n := range fell {
		if n != 1 {
			t.Errorf("%v fell to %d fetchers", at, n)
		}
	}
}

// TestAllottedUnmet sees fetchers that have not all met yet begin with
// different pieces.
func TestAllottedUnmet(t *testing.T) {
	const size, fetchers, each = 8 * manifest.BlockSize, 8, 4
	indexes, sources := sharers(size, fetchers, func(i, j int) bool { return j < i })
	asked := make(map[piece]bool)
	for i, ix := range indexes {
		for range each {
			at, ok := ix.allotted(sources[i])
			if !ok {
				t.Fatalf("nothing fell to fetcher %d", i)
			}
			ix.take(at)
			asked[at] = true
		}
	}
	if twice := fetchers*each - len(asked); twice > 2 {
		t.Errorf("%d of %d pieces were asked twice", twice, fetchers*each)
	}
}

// TestAllottedAgain sees a piece that is wanted again asked for again, although
// the fetcher has gone on to blocks far behind it.
func TestAllottedAgain(t *testing.T) {
	const size = 50 * manifest.BlockSize
	indexes, sources := sharers(size, 2, func(int, int) bool { return true })
	ix, source := indexes[0], sources[0]
	first, _ := ix.allotted(source)
	for at, ok := first, true; ok; at, ok = ix.allotted(source) {
		ix.take(at)
	}
	ix.giveBack(first)
	if at, ok := ix.allotted(source); !ok || at != first {
		t.Errorf("got %v, %v, want %v", at, ok, first)
	}
}

// TestSurplus sees idle fetchers take pieces of one that is slow, each others,
// and none of those that it will ask for next.
func TestSurplus(t *testing.T) {
	const size, fetchers, slow, ahead = 6 * manifest.BlockSize, 5, 0, 3
	indexes, _ := sharers(size, fetchers, func(int, int) bool { return true })
	left := make(map[piece]bool)
	for b := range indexes[slow].blocks {
		for won := indexes[slow].won(b); won != 0; won &= won - 1 {
			left[piece{b, bits.TrailingZeros32(won)}] = true
		}
	}
	taken := make(map[piece]int)
	for _, ix := range indexes[slow+1:] {
		for b := range ix.blocks {
			for i := range manifest.PiecesPerBlock {
				if at := (piece{b, i}); !left[at] {
					ix.take(at)
				}
			}
		}
		claims := ix.claims()
		for at, ok := ix.surplus(claims, ahead); ok; at, ok = ix.surplus(claims, ahead) {
			ix.take(at)
			taken[at]++
			claims = ix.claims()
		}
	}
	if len(taken) < len(left)/2 || len(taken) > len(left)-ahead {
		t.Errorf("%d of %d pieces were taken, want most but %d", len(taken), len(left), ahead)
	}
	for at, n := range taken {
		if n > 1 || !left[at] {
			t.Errorf("%v was taken %d times", at, n)
		}
	}
}
