package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

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

// wornOut is a peer that has all of a video, denies the pieces from some point
// on at once, and takes a while to deliver the others.
type wornOut struct {
	forgetful
	from  int
	delay time.Duration
}

func (p wornOut) Get(ctx context.Context, block, piece int) ([]byte, []byte, func(), error) {
	if piece >= p.from {
		return p.forgetful.Get(ctx, block, piece)
	}
	if err := sleep(ctx, p.delay); err != nil {
		return nil, nil, nil, err
	}
	return zeros, good, func() {}, nil
}

// A peer that denies a piece is let go when what else it offered is here, also
// if that is delivered, or kept, only after the denial.
func TestPeerThatDeniesTheRestIsLetGo(t *testing.T) {
	const size = 4 * mib
	for name, c := range map[string]struct{ delivery, keeping time.Duration }{
		"at once":        {},
		"slow delivery":  {delivery: time.Second},
		"slow disk":      {keeping: time.Second},
		"both are slow":  {delivery: time.Second, keeping: time.Second},
		"very slow disk": {keeping: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := newSink(size)
				sink.delay = c.keeping
				x := exchange.New(size, nil, sink, exchange.Config{})
				peers := make(chan exchange.Peer, 1)
				peers <- wornOut{forgetful{size}, 2, c.delivery}
				close(peers)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if err := x.Run(ctx, peers); !errors.Is(err, exchange.ErrNoProvider) {
					t.Errorf("run ended with %v, want ErrNoProvider", err)
				}
			})
		})
	}
}
