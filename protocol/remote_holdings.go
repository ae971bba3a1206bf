package protocol

import (
	"context"
	"fmt"
	"time"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// holdingsView follows what the peer says that it holds.
type holdingsView struct {
	*framing
	first  *manifest.Holdings // as of the first message
	update func(block int, mask uint32)
}

// followHoldings tells update what the peer holds until the stream ends.
func (r *Remote) followHoldings(ctx context.Context, m *manifest.Manifest, early *earlyStreams, update func(block int, mask uint32)) error {
	view, err := r.openHoldings(ctx, m, early, update)
	if err != nil {
		return fmt.Errorf("open holdings stream: %w", err)
	}
	return view.run(ctx)
}

func (r *Remote) openHoldings(ctx context.Context, m *manifest.Manifest, early *earlyStreams, update func(block int, mask uint32)) (v *holdingsView, err error) {
	limit := maxHoldingsBytes(m.NumBlocks())
	f, err := r.holdingsStream(ctx, early.holdings, int(limit))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.end(err)
		}
	}()
	var msg wire.Holdings
	if err := f.read(&msg, limit); err != nil {
		return nil, cutShort(err)
	}
	if err := errorOf(msg.Status); err != nil {
		return nil, err
	}
	first, err := decodeHoldings(m.Size(), &msg)
	if err != nil {
		return nil, err
	}
	return &holdingsView{framing: f, first: first, update: update}, nil
}

// holdingsStream is the stream on which a message of limit bytes is due: early,
// or if that is nil a new one.
func (r *Remote) holdingsStream(ctx context.Context, early *framing, limit int) (*framing, error) {
	if early != nil {
		return early, early.reserveMore(limit)
	}
	f, err := r.openStream(ctx, HoldingsID, controlBytes+limit)
	if err != nil {
		return nil, err
	}
	if err := f.write(r.openMessage()); err != nil {
		f.end(err)
		return nil, err
	}
	return f, nil
}

// decodeHoldings reads the first message about a video of size bytes.
func decodeHoldings(size int64, msg *wire.Holdings) (*manifest.Holdings, error) {
	h := manifest.NewHoldings(size)
	if err := h.SetBitmap(msg.Bitmap); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrProtocol, err)
	}
	if err := checkMasks(h, msg.Partial); err != nil {
		return nil, err
	}
	for _, p := range msg.Partial {
		h.Remove(int(p.Block), h.FullMask(int(p.Block)))
		h.Add(int(p.Block), p.Mask)
	}
	return h, nil
}

// checkMasks tells whether all blocks and pieces exist in the video of h.
func checkMasks(h *manifest.Holdings, masks []*wire.BlockMask) error {
	if len(masks) > MaxChanges {
		return fmt.Errorf("%w: masks of %d blocks in one message", ErrProtocol, len(masks))
	}
	for _, m := range masks {
		if int64(m.Block) >= int64(h.NumBlocks()) {
			return fmt.Errorf("%w: mask of block %d of %d", ErrProtocol, m.Block, h.NumBlocks())
		}
		if m.Mask&^h.FullMask(int(m.Block)) != 0 {
			return fmt.Errorf("%w: mask %#x of block %d", ErrProtocol, m.Mask, m.Block)
		}
	}
	return nil
}

func (v *holdingsView) run(ctx context.Context) error {
	for block := range v.first.NumBlocks() {
		if mask := v.first.Mask(block); mask != 0 {
			v.update(block, mask)
		}
	}
	pace := time.NewTicker(changesPace)
	defer pace.Stop()
	for {
		if err := v.readChange(); err != nil {
			return fmt.Errorf("holdings stream: %w: %w", ErrClosed, err)
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (v *holdingsView) readChange() error {
	if err := v.await(); err != nil {
		return err
	}
	var msg wire.HoldingsChange
	if err := v.read(&msg, MaxChangeBytes); err != nil {
		return err
	}
	if err := checkMasks(v.first, msg.Changed); err != nil {
		return err
	}
	for _, c := range msg.Changed {
		v.update(int(c.Block), c.Mask)
	}
	return nil
}
