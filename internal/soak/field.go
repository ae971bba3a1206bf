package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
)

const (
	// cardSpare is what a file system needs beside the files.
	cardSpare = 256 << 20
	// fieldPatience is how long everything may take to be there and known to be
	// there, once nothing is broken any more.
	fieldPatience = 5 * time.Minute
	// trialSettle is short, so that files whose writer pauses seem finished.
	trialSettle = 3 * time.Second
	leastRate   = 2 * mb // bytes a second of the link
)

// field is an edge in the field that watches a memory card, and a server that
// follows it.
type field struct {
	*soak
	edge, server *node
	link         *link
	card         *card
	into         string
	plan         []recording
	recorder     recorder
	peaks        map[*node]int64 // most memory of all their processes
}

// runField records files while the edge, the server, the link and the card fail,
// and holds what has arrived against what was recorded.
func runField(ctx context.Context, s *soak, rng *rand.Rand) (string, error) {
	f := &field{soak: s, peaks: map[*node]int64{}}
	f.plan = drawRecordings(rng, s.files, int64(s.largest)*mb, s.chaos)
	for i := range f.plan {
		f.plan[i].live = f.plan[i].live && s.live
	}
	if err := f.setUp(ctx); err != nil {
		return "", err
	}
	if err := f.introduce(ctx); err != nil {
		return "", err
	}
	var count map[string]int
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return f.recorder.run(running, f.plan) })
	g.Go(func() (err error) {
		count, err = f.breakThings(running, rng, f.faults(), s.chaos)
		return err
	})
	if err := g.Wait(); err != nil {
		return "", err
	}
	calm := time.Now()
	if err := f.awaitAll(ctx); err != nil {
		return "", err
	}
	took := time.Since(calm)
	if err := f.checkArrived(ctx); err != nil {
		return "", err
	}
	return f.line(count, took), nil
}

// setUp makes what the nodes run on.
func (f *field) setUp(ctx context.Context) (err error) {
	if f.edge, err = f.trialNode("edge"); err != nil {
		return err
	}
	if f.server, err = f.trialNode("server"); err != nil {
		return err
	}
	if f.link, err = newLink(ctx, f.n); err != nil {
		return err
	}
	f.undo = append(f.undo, f.link.remove)
	f.link.put(f.edge, 0)
	f.link.put(f.server, 1)
	if f.card, err = newCard(ctx, f.edge.home, f.bytes()+cardSpare); err != nil {
		return err
	}
	f.undo = append(f.undo, f.card.remove)
	f.recorder.dir = f.card.dir
	f.into = filepath.Join(f.server.home, "from the field")
	return nil
}

// introduce starts the nodes and says what they are to do. The link is so slow
// that the last file leaves when things are not broken any more.
func (f *field) introduce(ctx context.Context) error {
	for _, n := range []*node{f.edge, f.server} {
		if err := n.start(ctx); err != nil {
			return err
		}
	}
	rate := fmt.Sprintf("%dK", max(leastRate, int64(1.2*float64(f.bytes())/f.chaos.Seconds()))/1000)
	if _, err := f.server.api().Limit(ctx, api.LimitRequest{Down: &rate}); err != nil {
		return err
	}
	if err := f.watch(ctx); err != nil {
		return err
	}
	return follow(ctx, f.server, f.edge, f.into)
}

// watch has the edge watch the two folders of the card, one of them live.
func (f *field) watch(ctx context.Context) error {
	for _, folder := range []string{liveFolder, otherFolder} {
		dir, live := filepath.Join(f.card.dir, folder), folder == liveFolder
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if _, err := f.edge.api().AddWatch(ctx, api.AddWatchRequest{Dir: dir, Settle: trialSettle, Live: &live}); err != nil {
			return err
		}
	}
	return nil
}

// follow has one node trust the other and follow it.
func follow(ctx context.Context, server, edge *node, into string) error {
	if _, err := edge.api().AddPeer(ctx, api.AddPeerRequest{Addr: server.addr, Name: server.name}); err != nil {
		return err
	}
	if _, err := server.api().AddPeer(ctx, api.AddPeerRequest{Addr: edge.addr, Name: edge.name}); err != nil {
		return err
	}
	_, err := server.api().Follow(ctx, api.FollowRequest{Peer: edge.daemon.ID, Into: into})
	return err
}

func (f *field) bytes() (sum int64) {
	for _, r := range f.plan {
		sum += r.size
	}
	return sum
}

// line is what is printed of the trial.
func (f *field) line(count map[string]int, calm time.Duration) string {
	var events []string
	for _, how := range slices.Sorted(maps.Keys(count)) {
		events = append(events, fmt.Sprintf("%s %d", how, count[how]))
	}
	long := slices.DeleteFunc(slices.Clone(f.plan), func(r recording) bool { return !r.live || r.size < leastLong })
	return fmt.Sprintf("%d files of %d MB (%d long and live), %d contents, arrived %.1f s after the last fault; most memory: edge %d MB, server %d MB; %s",
		len(f.plan), f.bytes()/mb, len(long), len(byContent(f.plan)), calm.Seconds(), f.peaks[f.edge]/mb, f.peaks[f.server]/mb, strings.Join(events, ", "))
}
