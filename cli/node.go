package cli

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/daemon"
)

const (
	// reachPatience is how long a command waits for a home that another
	// process holds: that may be a daemon that is only starting, or another
	// short command.
	reachPatience = 2 * time.Second
	reachInterval = 100 * time.Millisecond
)

// nodes are the ways to a node. engine.go has the real ones.
type nodes interface {
	// dial reaches the daemon at a socket, and gives an error soon if none
	// answers there.
	dial(ctx context.Context, socket string) (api.Node, error)
	// open starts an engine in this process.
	open(ctx context.Context, cfg nodeConfig) (engine, error)
	// rebuild makes the index of a home anew, which no process may use.
	rebuild(ctx context.Context, cfg nodeConfig, emit func(api.Progress)) (api.Rebuilt, error)
	// defaultListen is where a node listens that no setting tells otherwise.
	defaultListen() []string
}

// engine is a node inside this process.
type engine interface {
	api.Node
	Reload(cfg daemon.Config) error
	Run(ctx context.Context) error // takes part in the network until ctx ends
	Close() error                  // after Run has returned
}

// nodeConfig is what an engine needs to know.
type nodeConfig struct {
	paths    paths
	settings settings
	log      *slog.Logger
	daemon   bool // serve the local API and go on with stored jobs
}

// need says what a command wants of its node.
type need struct {
	network bool // an engine in this process must be on the network
	daemon  bool // only a running daemon will do
	stream  bool // with --json, progress is part of the answer
	draws   bool // the command uses the terminal itself: show no progress
}

// session is a node during one command.
type session struct {
	api.Node
	remote bool // it is a daemon, which goes on when the command ends
	emit   func(api.Progress)
}

// withNode finds a node, calls do with it, and shows progress meanwhile. When
// it returns the progress is off the screen and an engine of this process has
// stopped.
func (a *app) withNode(ctx context.Context, n need, do func(context.Context, session) error) (err error) {
	shown := a.startProgress(ctx, n)
	defer func() { err = errors.Join(err, shown.stop()) }()
	p, err := a.paths()
	if err != nil {
		return err
	}
	node, own, err := a.reach(ctx, p, n)
	if err != nil {
		return err
	}
	if own == nil {
		return do(ctx, session{Node: node, remote: true, emit: shown.report})
	}
	s := session{Node: own, emit: shown.report}
	if n.network {
		err = runBeside(ctx, own, func(ctx context.Context) error { return do(ctx, s) })
	} else {
		err = do(ctx, s)
	}
	return errors.Join(err, own.Close())
}

// reach finds the daemon, or else opens an engine.
func (a *app) reach(ctx context.Context, p paths, n need) (node api.Node, own engine, err error) {
	var cfg *nodeConfig
	err = whileInUse(ctx, func() (err error) {
		if node = a.dialAny(ctx, p); node != nil {
			return nil
		}
		if n.daemon {
			return noDaemon(p)
		}
		if cfg == nil {
			if cfg, err = a.nodeConfig(p, false); err != nil {
				return err
			}
		}
		own, err = a.nodes.open(ctx, *cfg)
		return err
	})
	return node, own, err
}

// whileInUse calls try again for a while if the home is in use.
func whileInUse(ctx context.Context, try func() error) error {
	for start := time.Now(); ; {
		err := try()
		if err == nil || api.CodeOf(err) != api.CodeInUse || time.Since(start) > reachPatience {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(reachInterval):
		}
	}
}

// dialAny is the first daemon that answers, or nil.
func (a *app) dialAny(ctx context.Context, p paths) api.Node {
	for _, socket := range a.sockets(p) {
		if node, err := a.nodes.dial(ctx, socket); err == nil {
			return node
		}
	}
	return nil
}

func noDaemon(p paths) error {
	return api.Errorf(api.CodeNoDaemon, "no daemon answers at %s; start one with 'vidsync daemon'", p.Socket)
}

// nodeConfig reads the configuration for an engine.
func (a *app) nodeConfig(p paths, daemon bool) (*nodeConfig, error) {
	all, err := a.settings(p)
	if err != nil {
		return nil, err
	}
	p.Videos = all.text("videos")
	cfg := &nodeConfig{paths: p, settings: all, daemon: daemon}
	cfg.log, err = a.logger(all, cfg.daemon)
	return cfg, err
}

// runBeside calls do while the engine is on the network. If the engine cannot
// get or stay there, do is cancelled and the engine's error counts.
func runBeside(ctx context.Context, e engine, do func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	online, leave := context.WithCancel(ctx)
	g.Go(func() error {
		err := e.Run(online)
		if online.Err() != nil && errors.Is(err, context.Canceled) {
			return nil // it was told to leave
		}
		return err
	})
	g.Go(func() error {
		defer leave()
		return do(ctx)
	})
	return g.Wait()
}
