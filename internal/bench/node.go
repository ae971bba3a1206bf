package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vidsync/vidsync/api"
)

const (
	readyPatience = 60 * time.Second
	readyPoll     = 2 * time.Millisecond
)

// node is a vidsync daemon, a process of its own with a home of its own.
type node struct {
	*process
	api    *api.Client
	bench  *bench
	home   string
	id     string
	addr   string        // TCP, with peer ID
	ready  time.Duration // from its start until its API answered
	closed bool
}

// place is where a node runs.
type place struct {
	prefix []string // put before the command: a namespace, or nothing
	listen string   // multiaddr
}

var loopback = place{listen: "/ip4/127.0.0.1/tcp/0"}

// startNode starts a daemon on a new home, which serves everybody, and returns
// when it answers. The caller calls remove.
func (b *bench) startNode(ctx context.Context, name string, at place) (*node, error) {
	home, err := os.MkdirTemp(b.dir, name+"-")
	if err != nil {
		return nil, err
	}
	return b.startHome(ctx, home, at)
}

// startHome is startNode on a home that exists.
func (b *bench) startHome(ctx context.Context, home string, at place) (*node, error) {
	args := append(append([]string{}, at.prefix...), b.vidsync, "--home", home,
		"daemon", "--open", "--no-mdns", "--listen", at.listen)
	started := time.Now()
	p, err := startProcess(home+"/daemon.log", nil, args[0], args[1:]...)
	if err != nil {
		return nil, err
	}
	n := &node{process: p, bench: b, home: home, api: api.NewClient(filepath.Join(home, "vidsync.sock"))}
	if err := n.awaitReady(ctx); err != nil {
		n.remove()
		return nil, err
	}
	n.ready = time.Since(started)
	return n, n.learnID(ctx)
}

func (n *node) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	for {
		_, err := n.api.Ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-n.done:
			return fmt.Errorf("daemon %s ended: %s", n.home, tail(n.home+"/daemon.log"))
		case <-ctx.Done():
			return fmt.Errorf("daemon %s does not answer: %w", n.home, err)
		case <-time.After(readyPoll):
		}
	}
}

func (n *node) learnID(ctx context.Context) error {
	id, err := n.api.ID(ctx)
	if err != nil {
		n.remove()
		return err
	}
	n.id = id.PeerID
	for _, addr := range id.Addrs {
		if strings.Contains(addr, "/tcp/") {
			n.addr = addr
			return nil
		}
	}
	n.remove()
	return fmt.Errorf("daemon %s listens on none of %v", n.home, id.Addrs)
}

// remove ends the daemon and deletes its home. It may be called again.
func (n *node) remove() {
	n.stop()
	if n.closed {
		return
	}
	n.closed = true
	if err := os.RemoveAll(n.home); err != nil {
		fmt.Fprintln(n.bench.log, "bench:", err)
	}
}

func (n *node) usage() usage { return usageOf(n.pid()) }

// add offers a file and returns its CID.
func (n *node) add(ctx context.Context, path string) (string, error) {
	result, err := n.api.Add(ctx, api.AddRequest{Paths: []string{path}}, nil)
	if err != nil {
		return "", err
	}
	if len(result.Added) != 1 {
		return "", fmt.Errorf("add %s: %+v", path, result.Failed)
	}
	return result.Added[0].CID, nil
}

// fetch brings a video here from peers.
func (n *node) fetch(ctx context.Context, cid string, watch func(api.Progress), peers ...string) (api.FetchResult, error) {
	result, err := n.api.Fetch(ctx, api.FetchRequest{Ref: cid, Peers: peers, NoTranscribe: true}, watch)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w; log of the fetcher: %s", err, tail(n.home+"/daemon.log"))
	}
	return result, err
}

// settledStatus is the node's status once its traffic counters, which libp2p
// brings up to date every second, have all of what went before.
func (n *node) settledStatus(ctx context.Context) (api.Status, error) {
	const pause = 2 * time.Second
	if err := sleepUntil(ctx, time.Now().Add(pause)); err != nil {
		return api.Status{}, err
	}
	return n.api.Status(ctx)
}

// firstByte is how long it takes until cat of a video gives its first byte.
// The video goes on coming.
func (n *node) firstByte(ctx context.Context, cid string, peers ...string) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := &firstWrite{started: time.Now(), enough: cancel}
	err := n.api.Cat(ctx, api.CatRequest{Ref: cid, Length: -1, Peers: peers}, first)
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
