package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
)

const (
	startsAtOnce  = 4 // daemons; hundreds at once would make each other late
	dropsPerEdge  = 4
	dropPause     = 200 * time.Millisecond // mean, of all edges
	leastDrop     = 10 << 10
	mostDrop      = 3 << 20
	edgePatience  = 5 * time.Minute
	maxServerPeak = 400 << 20 // resident memory of a server that follows them
	// An edge starves if its file waits for so much longer than is usual, and
	// for so long.
	starvedTimes = 10
	starvedAfter = 30 * time.Second
)

// edges are many that one server follows, each into a folder of its own and then
// all into one.
type edges struct {
	*soak
	rng    *rand.Rand
	server *node
	all    []*edge
	drops  int // made so far, and so the next one's stream
	shared string
}

// edge is one of them.
type edge struct {
	*node
	card  string
	into  string
	drops []*drop
}

// drop is a small file that appears at once.
type drop struct {
	recording
	at      time.Time // zero before
	arrived time.Time
}

// runEdges drops small files at many edges and measures how long they take.
func runEdges(ctx context.Context, s *soak, rng *rand.Rand) (string, error) {
	e := &edges{soak: s, rng: rng}
	if err := e.start(ctx); err != nil {
		return "", err
	}
	if err := e.awaitFollowing(ctx); err != nil {
		return "", err
	}
	idle := e.memory("VmRSS")
	drawn := e.draw(s.edges * dropsPerEdge)
	if err := e.deliver(ctx, drawn); err != nil {
		return "", err
	}
	if err := e.checkWaits(drawn); err != nil {
		return "", err
	}
	for _, one := range e.all {
		if err := checkTree(one.into, one.plan()); err != nil {
			return "", err
		}
	}
	if err := e.collide(ctx); err != nil {
		return "", err
	}
	if err := e.settled(ctx); err != nil {
		return "", err
	}
	peak := memoryOf(e.server.daemon.PID(), "VmHWM")
	if peak > maxServerPeak {
		return "", violated("a server that follows many edges has bounds", "%d bytes of memory, the most are %d", peak, maxServerPeak)
	}
	return fmt.Sprintf("%d edges, %d files: %s; most memory of the server %d MB; an edge %d to %d MB when idle, %d MB at most",
		len(e.all), len(drawn), waitsOf(drawn), peak/mb, idle[0]/mb, idle[len(idle)-1]/mb, slices.Max(e.memory("VmHWM"))/mb), nil
}

// start starts the server, and the edges a few at a time, and has the server
// follow each.
func (e *edges) start(ctx context.Context) (err error) {
	if e.server, err = e.trialNode("server"); err != nil {
		return err
	}
	if err := e.server.start(ctx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(startsAtOnce)
	for i := range e.edges {
		n, err := e.trialNode(fmt.Sprintf("edge%d", i+1))
		if err != nil {
			return err
		}
		one := &edge{node: n, card: filepath.Join(n.home, "card"), into: filepath.Join(e.server.home, "into", n.role())}
		e.all = append(e.all, one)
		g.Go(func() error { return one.begin(ctx, e.server) })
	}
	return g.Wait()
}

// begin starts an edge with a folder that it watches.
func (o *edge) begin(ctx context.Context, server *node) error {
	if err := os.Mkdir(o.card, 0o755); err != nil {
		return err
	}
	if err := o.start(ctx); err != nil {
		return err
	}
	if _, err := o.api().AddWatch(ctx, api.AddWatchRequest{Dir: o.card, Settle: trialSettle}); err != nil {
		return err
	}
	return follow(ctx, server, o.node, o.into)
}

// awaitFollowing waits until all edges are followed and nothing is on its way.
func (e *edges) awaitFollowing(ctx context.Context) error {
	var missing error
	ok, err := until(ctx, edgePatience, func() (bool, error) {
		if missing = checkFollows(ctx, e.server); missing != nil {
			return false, sleep(ctx, 20*poll)
		}
		return true, nil
	})
	if err == nil && !ok {
		err = violated("many edges are followed", "after %v: %v", edgePatience, missing)
	}
	return err
}

// memory is what the edges have, the least first.
func (e *edges) memory(what string) []int64 {
	var all []int64
	for _, one := range e.all {
		all = append(all, memoryOf(one.daemon.PID(), what))
	}
	slices.Sort(all)
	return all
}

// draw makes up what is dropped, in which order: every edge has the same names.
func (e *edges) draw(count int) []*drop {
	var all []*drop
	for i := range count {
		one := e.all[i%len(e.all)]
		d := e.drop(fmt.Sprintf("day %d/clip.mp4", i/len(e.all)+1))
		one.drops = append(one.drops, d)
		all = append(all, d)
	}
	return all
}

func (e *edges) drop(rel string) *drop {
	e.drops++
	return &drop{recording: recording{
		rel: rel, stream: e.seed<<20 + uint64(e.drops),
		size: leastDrop + e.rng.Int64N(mostDrop-leastDrop),
	}}
}

func (o *edge) plan() []recording {
	var plan []recording
	for _, d := range o.drops {
		plan = append(plan, d.recording)
	}
	return plan
}

// settled makes sure that at the end there is no trouble anywhere.
func (e *edges) settled(ctx context.Context) error {
	if err := e.awaitFollowing(ctx); err != nil {
		return err
	}
	if err := checkVideos(ctx, e.server, e.drops); err != nil {
		return violated("everything arrives", "%v", err)
	}
	for _, one := range e.all {
		if err := checkWatches(ctx, one.node); err != nil {
			return violated("a watched folder is watched", "%v", err)
		}
		if err := checkVideos(ctx, one.node, len(one.drops)); err != nil {
			return violated("an edge keeps its videos", "%v", err)
		}
	}
	return nil
}
