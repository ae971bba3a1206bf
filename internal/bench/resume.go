package main

import (
	"context"
	"fmt"
	"time"

	"github.com/vidsync/vidsync/api"
)

const (
	transferPatience = 60 * time.Second
	transferPoll     = 5 * time.Millisecond // long enough for the questions to cost the node little
)

// runResume kills a fetcher at 90 % and starts it again on the same home.
func runResume(ctx context.Context, b *bench) ([]figure, error) {
	path, err := b.video(int64(b.size))
	if err != nil {
		return nil, err
	}
	source, err := b.startNode(ctx, "source", loopback)
	if err != nil {
		return nil, err
	}
	defer source.remove()
	cid, err := source.Add(ctx, path)
	if err != nil {
		return nil, err
	}
	fetcher, err := b.startNode(ctx, "fetcher", loopback)
	if err != nil {
		return nil, err
	}
	defer fetcher.remove()
	if err := killAt(ctx, fetcher, 0.9, cid, source.Addr); err != nil {
		return nil, err
	}
	started := time.Now()
	again, err := b.startHome(ctx, fetcher.Home, loopback)
	if err != nil {
		return nil, err
	}
	defer again.remove()
	return measureResumed(ctx, again, started, cid, source.Addr)
}

// killAt lets a node fetch until it has that share, and kills it.
func killAt(ctx context.Context, n *node, share float64, cid string, peers ...string) error {
	reached := false
	_, err := n.Fetch(ctx, cid, func(p api.Progress) {
		if !reached && p.Phase == "fetching" && p.Size > 0 && float64(p.Done) >= share*float64(p.Size) {
			reached = true
			n.Kill()
		}
	}, peers...)
	n.Kill()
	if !reached && err == nil {
		return skip("the fetch ended before it could be killed; use a larger -size")
	}
	if !reached {
		return err
	}
	return ctx.Err()
}

// measureResumed waits until a restarted node transfers again by itself, and
// until it is done.
func measureResumed(ctx context.Context, n *node, started time.Time, cid string, peers ...string) ([]figure, error) {
	kept, err := awaitTransfer(ctx, n)
	if err != nil {
		return nil, err
	}
	transfers, cpu := time.Since(started), n.usage().cpu
	result, err := n.Fetch(ctx, cid, nil, peers...) // joins it
	if err != nil {
		return nil, err
	}
	status, err := n.settledStatus(ctx)
	return known(
		figure{"start until the API answers", "ms", milliseconds(n.Ready)},
		figure{"start until it transfers", "ms", milliseconds(transfers)},
		figure{"CPU until then", "s", cpu},
		figure{"kept from before", "% of file", percent(kept, result.Size)},
		figure{"received after the restart", "% of file", percent(status.BytesIn, result.Size)},
	), err
}

// awaitTransfer returns when a node that goes on with its only job has more of
// the video than it began with, and what that was.
func awaitTransfer(ctx context.Context, n *node) (kept int64, err error) {
	kept = -1
	for deadline := time.Now().Add(transferPatience); time.Now().Before(deadline); time.Sleep(transferPoll) {
		status, err := n.API.Status(ctx)
		switch {
		case err != nil:
			return 0, err
		case len(status.Jobs) == 0:
			return 0, skip("the fetch was over before it was seen to go on; use a larger -size")
		case status.Jobs[0].Progress == nil || status.Jobs[0].Progress.Size == 0:
			continue
		}
		done := status.Jobs[0].Progress.Done
		if kept >= 0 && done > kept {
			return kept, nil
		}
		kept = done
	}
	return 0, fmt.Errorf("no transfer within %v of the restart", transferPatience)
}

func percent(part, whole int64) float64 { return 100 * float64(part) / float64(whole) }
