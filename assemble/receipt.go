package assemble

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/blockstore"
)

// Run commits receipts as pieces come, and copies blocks that the video has
// more than once. It ends with ctx, after a last receipt: nil if that one is
// in. Another error means that nothing more can be kept safe: stop putting,
// close f.
func (f *File) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.commitLoop(ctx) })
	if len(f.repeats) > 0 {
		g.Go(func() error { return f.repeatLoop(ctx) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return f.checkpoint()
}

func (f *File) commitLoop(ctx context.Context) error {
	tick := time.NewTicker(f.cfg.ReceiptEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-f.due:
		}
		if err := f.checkpoint(); err != nil {
			return err
		}
	}
}

// checkpoint commits a receipt for all that was written before the call.
func (f *File) checkpoint() error {
	f.steps.Lock()
	defer f.steps.Unlock()
	if f.closed {
		return nil
	}
	return f.commit()
}

// commit flushes the part file and then commits a receipt for the pieces that
// were written before. f.steps is held.
func (f *File) commit() error {
	if f.reached() != fetching {
		return nil
	}
	if err := f.failure(); err != nil {
		return err
	}
	pending := f.takeUnreceipted()
	if len(pending.trees) == 0 {
		return nil
	}
	if err := f.flush(); err != nil {
		return f.lose(err)
	}
	if err := f.index.CommitReceipt(f.video.CID(), pending.updates); err != nil {
		f.putBack(pending)
		return f.indexError(err)
	}
	for _, t := range pending.trees {
		f.trees.release(t)
	}
	return nil
}

func (f *File) flush() error {
	if err := f.checkPart(); err != nil {
		return err
	}
	if err := f.disk.Flush(f.part); err != nil {
		return f.spaceError(err, f.missing())
	}
	return f.checkUncut()
}

// pending is what the next receipt will say.
type pending struct {
	trees     []*tree // in use once each
	updates   []blockstore.ReceiptUpdate
	uncovered int64
}

func (f *File) takeUnreceipted() pending {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := pending{uncovered: f.uncovered}
	for block, t := range f.unreceipted {
		p.trees = append(p.trees, t)
		p.updates = append(p.updates, blockstore.ReceiptUpdate{
			Block:    f.video.Block(block),
			Mask:     f.held.Mask(block),
			Outboard: f.trees.snapshot(t),
		})
	}
	clear(f.unreceipted)
	f.uncovered = 0
	return p
}

// putBack leaves pieces to a later receipt.
func (f *File) putBack(p pending) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uncovered += p.uncovered
	for _, t := range p.trees {
		if f.unreceipted[t.block] != nil {
			f.trees.release(t)
		}
		f.unreceipted[t.block] = t
	}
}

// lose notes that bytes written since the last receipt may be gone. The system
// reports a failed flush only once, so a second try would prove nothing.
func (f *File) lose(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !errors.Is(err, ErrPartLost) {
		err = fmt.Errorf("%w: %w", ErrPartLost, err)
	}
	f.lost = explain(err, f.target.Dir)
	return f.lost
}

func (f *File) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

func (f *File) dropReceipt() error { return f.indexError(f.index.DropReceipt(f.video.CID())) }

// indexError marks an index that has no room, or whose disk is in trouble; its
// text names the index's folder.
func (f *File) indexError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return explain(err, f.store.Dir())
}
