package rig

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/vidsync/vidsync/api"
)

const (
	readyPatience = 60 * time.Second
	readyPoll     = 2 * time.Millisecond
	endPatience   = time.Second // from the end of a connection to the end of its process
)

// Loopback listens on this machine alone, on a port that the system picks.
const Loopback = "/ip4/127.0.0.1/tcp/0"

// ErrEnded is returned for a daemon that ended before it answered.
var ErrEnded = errors.New("the daemon ended")

// Node is a vidsync daemon, a process of its own with a home of its own.
type Node struct {
	*Process
	API   *api.Client
	Home  string
	ID    string        // peer ID
	Addr  string        // multiaddr: TCP, with peer ID
	Ready time.Duration // from its start until its API answered
}

// Place is where a node runs.
type Place struct {
	Prefix []string // put before the command: a namespace, a tracer, or nothing
	Listen string   // multiaddr
}

// StartNode starts a daemon on a home, new or not, that serves everybody and
// looks for nobody. It returns when the daemon answers; after an error, ErrEnded
// among them, it has ended. Its log is LogOf(home). The caller calls Stop or
// Kill.
func StartNode(ctx context.Context, vidsync, home string, at Place) (*Node, error) {
	args := append(append([]string{}, at.Prefix...), vidsync, "--home", home,
		"daemon", "--open", "--no-mdns", "--listen", at.Listen)
	started := time.Now()
	p, err := Start(LogOf(home), nil, args[0], args[1:]...)
	if err != nil {
		return nil, err
	}
	n := &Node{Process: p, Home: home, API: api.NewClient(filepath.Join(home, "vidsync.sock"))}
	if err := n.awaitReady(ctx); err != nil {
		n.Stop()
		return nil, err
	}
	n.Ready = time.Since(started)
	if err := n.learnID(ctx); err != nil {
		n.Stop()
		return nil, err
	}
	return n, nil
}

// LogOf is the file with the log of a home's daemons.
func LogOf(home string) string { return filepath.Join(home, "daemon.log") }

func (n *Node) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	for {
		_, err := n.API.Ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-n.done:
			return n.ended()
		case <-ctx.Done():
			return fmt.Errorf("daemon %s does not answer: %w", n.Home, err)
		case <-time.After(readyPoll):
		}
	}
}

func (n *Node) ended() error {
	return fmt.Errorf("%w: %s: %s: %s", ErrEnded, n.Home, n.State(), Tail(LogOf(n.Home)))
}

func (n *Node) learnID(ctx context.Context) error {
	id, err := n.API.ID(ctx)
	if err != nil {
		select {
		case <-n.done:
			return n.ended()
		case <-time.After(endPatience):
			return err
		}
	}
	n.ID = id.PeerID
	for _, addr := range id.Addrs {
		if strings.Contains(addr, "/tcp/") {
			n.Addr = addr
			return nil
		}
	}
	return fmt.Errorf("daemon %s listens on none of %v", n.Home, id.Addrs)
}

// Add offers a file and returns its CID.
func (n *Node) Add(ctx context.Context, path string) (string, error) {
	result, err := n.API.Add(ctx, api.AddRequest{Paths: []string{path}}, nil)
	if err != nil {
		return "", err
	}
	if len(result.Added) != 1 {
		return "", fmt.Errorf("add %s: %+v", path, result.Failed)
	}
	return result.Added[0].CID, nil
}

// Fetch brings a video here from peers, multiaddrs, without a transcript, and
// waits for it. watch may be nil.
func (n *Node) Fetch(ctx context.Context, cid string, watch func(api.Progress), peers ...string) (api.FetchResult, error) {
	result, err := n.API.Fetch(ctx, api.FetchRequest{Ref: cid, Peers: peers, NoTranscribe: true}, watch)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w; log of the fetcher: %s", err, Tail(LogOf(n.Home)))
	}
	return result, err
}
