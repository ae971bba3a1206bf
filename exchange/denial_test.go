package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/synctest"

	"github.com/vidsync/vidsync/exchange"
	"github.com/vidsync/vidsync/manifest"
)

// forgetful is a peer that announces all of a video once and has none of it
// any more.
type forgetful struct{ size int64 }

func (forgetful) ID() string { return "forgetful" }

func (p forgetful) Run(ctx context.Context, update func(block int, mask uint32)) error {
	all := manifest.AllHoldings(p.size)
	for b := range all.NumBlocks() {
		update(b, all.Mask(b))
	}
	<-ctx.Done()
	return ctx.Err()
}

func (forgetful) Get(_ context.Context, block, piece int) ([]byte, []byte, func(), error) {
	return nil, nil, nil, fmt.Errorf("piece %d of block %d: %w", piece, block, fs.ErrNotExist)
}

// A peer that denies all it announced is let go, so that whoever brought it can
// ask it anew what it holds. It would be kept for ever else, and never used.
func TestPeerThatDeniesEverythingIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 70 * mib
		x := exchange.New(size, nil, newSink(size), exchange.Config{})
		peers := make(chan exchange.Peer, 1)
		peers <- forgetful{size}
		close(peers)
		if err := x.Run(t.Context(), peers); !errors.Is(err, exchange.ErrNoProvider) {
			t.Errorf("run ended with %v, want ErrNoProvider", err)
		}
	})
}
