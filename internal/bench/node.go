package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/internal/rig"
)

// node is a vidsync daemon of a case.
type node struct {
	*rig.Node
	bench  *bench
	closed bool
}

var loopback = rig.Place{Listen: rig.Loopback}

// startNode starts a daemon on a new home, which serves everybody, and returns
// when it answers. The caller calls remove.
func (b *bench) startNode(ctx context.Context, name string, at rig.Place) (*node, error) {
	home, err := os.MkdirTemp(b.dir, name+"-")
	if err != nil {
		return nil, err
	}
	return b.startHome(ctx, home, at)
}

// startHome is startNode on a home that exists.
func (b *bench) startHome(ctx context.Context, home string, at rig.Place) (*node, error) {
	n, err := rig.StartNode(ctx, b.vidsync, home, at)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(home))
	}
	return &node{Node: n, bench: b}, nil
}

// remove ends the daemon and deletes its home. It may be called again.
func (n *node) remove() {
	n.Stop()
	if n.closed {
		return
	}
	n.closed = true
	if err := os.RemoveAll(n.Home); err != nil {
		fmt.Fprintln(n.bench.log, "bench:", err)
	}
}

func (n *node) usage() usage { return usageOf(n.PID()) }

// settledStatus is the node's status once its traffic counters, which libp2p
// brings up to date every second, have all of what went before.
func (n *node) settledStatus(ctx context.Context) (api.Status, error) {
	const pause = 2 * time.Second
	if err := sleepUntil(ctx, time.Now().Add(pause)); err != nil {
		return api.Status{}, err
	}
	return n.API.Status(ctx)
}

// firstByte is how long it takes until cat of a video gives its first byte.
// The video goes on coming.
func (n *node) firstByte(ctx context.Context, cid string, peers ...string) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := &firstWrite{started: time.Now(), enough: cancel}
	err := n.API.Cat(ctx, api.CatRequest{Ref: cid, Length: -1, Peers: peers}, first)
	if first.after == 0 {
		return 0, errors.Join(errors.New("cat gave nothing"), err)
	}
	return first.after, nil
}

// firstWrite notes when it is first written to, and calls enough.
type firstWrite struct {
	started time.Time
	after   time.Duration
	enough  func()
}

func (w *firstWrite) Write(p []byte) (int, error) {
	if w.after == 0 && len(p) > 0 {
		w.after = time.Since(w.started)
		w.enough()
	}
	return len(p), nil
}

// memory is the peak of each of some nodes, under a name.
func memory(name string, nodes ...*node) []figure {
	most := 0.0
	for _, n := range nodes {
		most = max(most, n.usage().peak) // NaN, where it is not known, wins
	}
	return known(figure{"peak memory, " + name, "MiB", most})
}
