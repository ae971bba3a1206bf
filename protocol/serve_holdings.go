package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// serveHoldings tells what this node has of a video, then what changes, until
// the client closes its side or the video is gone.
func (in *incoming) serveHoldings(ctx context.Context) error {
	var open wire.Open
	if err := in.read(&open, MaxOpenBytes); err != nil {
		return fmt.Errorf("read open: %w", err)
	}
	feed, now, err := in.openHoldings(&open)
	if err != nil {
		return in.decline(err, &wire.Holdings{Status: statusOf(err)})
	}
	if err := in.write(feed.begin(now)); err != nil {
		return fmt.Errorf("write holdings: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return in.failing(in.awaitEnd()) })
	g.Go(func() error { return in.failing(feed.run(ctx)) })
	if err := g.Wait(); !errors.Is(err, errFinished) {
		return err
	}
	return nil
}

// awaitEnd waits for the client to close its side; it has nothing more to say.
func (in *incoming) awaitEnd() error {
	err := in.await()
	switch {
	case errors.Is(err, io.EOF):
		return errFinished
	case err != nil:
		return fmt.Errorf("await end of stream: %w", err)
	}
	return fmt.Errorf("%w: bytes after the only message", ErrProtocol)
}

func (in *incoming) openHoldings(open *wire.Open) (*holdingsFeed, *manifest.Holdings, error) {
	video, err := in.admit(open.Video, open.Capability)
	if err != nil {
		return nil, nil, err
	}
	feed := &holdingsFeed{incoming: in, video: video}
	now, err := feed.snapshot()
	if err != nil {
		return nil, nil, err
	}
	const maskBytes = 4
	memory := now.NumBlocks()*maskBytes + int(maxHoldingsBytes(now.NumBlocks()))
	if err := in.stream.Scope().ReserveMemory(memory, network.ReservationPriorityHigh); err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ErrBusy, err)
	}
	return feed, now, nil
}

// holdingsFeed remembers what a client has been told.
type holdingsFeed struct {
	*incoming
	video   cid.Cid
	told    []uint32 // mask of each block
	changed <-chan struct{}
	lacking bool // not all pieces can be read now
	behind  bool // more has changed than one message could say
}

func (h *holdingsFeed) snapshot() (*manifest.Holdings, error) {
	now, changed, err := h.server.cfg.Library.Holdings(h.video)
	if err == nil && h.told != nil && now.NumBlocks() != len(h.told) {
		err = fmt.Errorf("library gave holdings of %d blocks, before it was %d", now.NumBlocks(), len(h.told))
	}
	if err != nil {
		err = fmt.Errorf("holdings of %s: %w", h.video, err)
		h.server.logInternal("cannot serve holdings", err)
		return nil, err
	}
	h.changed, h.lacking = changed, !now.Complete()
	return now, nil
}

// begin is the first message. Partial blocks that it has no room for follow
// as changes.
func (h *holdingsFeed) begin(now *manifest.Holdings) *wire.Holdings {
	h.told = make([]uint32, now.NumBlocks())
	for i := range h.told {
		if now.Full(i) {
			h.told[i] = now.Mask(i)
		}
	}
	return &wire.Holdings{Status: wire.Status_STATUS_OK, Bitmap: now.Bitmap(), Partial: h.changes(now)}
}

// changes lists at most MaxChanges blocks whose mask the client does not know.
func (h *holdingsFeed) changes(now *manifest.Holdings) []*wire.BlockMask {
	var out []*wire.BlockMask
	h.behind = false
	for i := range h.told {
		mask := now.Mask(i)
		if mask == h.told[i] {
			continue
		}
		if len(out) == MaxChanges {
			h.behind = true
			break
		}
		h.told[i] = mask
		out = append(out, &wire.BlockMask{Block: uint32(i), Mask: mask})
	}
	return out
}

func (h *holdingsFeed) run(ctx context.Context) error {
	for {
		if err := h.awaitChange(ctx); err != nil {
			return err
		}
		now, err := h.snapshot()
		if err != nil {
			return err
		}
		changes := h.changes(now)
		if len(changes) == 0 {
			continue
		}
		if err := h.write(&wire.HoldingsChange{Changed: changes}); err != nil {
			return fmt.Errorf("write holdings change: %w", err)
		}
	}
}

// awaitChange returns when there may be something to tell and some time has
// passed since the last look, so that changes are told together.
func (h *holdingsFeed) awaitChange(ctx context.Context) error {
	pause := time.NewTimer(changesEvery)
	defer pause.Stop()
	var again <-chan time.Time
	if h.changed == nil && h.lacking {
		again = time.After(h.server.cfg.LookAgainAfter)
	}
	if !h.behind {
		select {
		case <-h.changed:
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case <-pause.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
