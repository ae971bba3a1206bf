package cli

import (
	"context"
	"errors"
	"io"

	"github.com/vidsync/vidsync/api"
)

// Engine is a node in the command's process.
type Engine = engine

// Nodes are the nodes that a test lets a command find.
type Nodes struct {
	Daemon  api.Node // nil: no daemon answers
	Engine  Engine
	OpenErr func() error // if set, asked at every open
	Opened  func(videos, socket string, listen []string)
}

func (n Nodes) dial(context.Context, string) (api.Node, error) {
	if n.Daemon == nil {
		return nil, errors.New("no daemon")
	}
	return n.Daemon, nil
}

func (n Nodes) open(_ context.Context, cfg nodeConfig) (engine, error) {
	if n.Opened != nil {
		n.Opened(cfg.paths.Videos, cfg.paths.Socket, cfg.settings.list("listen"))
	}
	if n.OpenErr != nil {
		if err := n.OpenErr(); err != nil {
			return nil, err
		}
	}
	return n.Engine, nil
}

func (n Nodes) rebuild(context.Context, nodeConfig, func(api.Progress)) (api.Rebuilt, error) {
	return api.Rebuilt{Videos: 2, Bytes: 3_000_000, Jobs: 1, SetAside: "/home/ann/index.damaged"}, nil
}

func (n Nodes) defaultListen() []string { return []string{"/ip4/0.0.0.0/tcp/4101"} }

// Invocation is one run of the program in a test.
type Invocation struct {
	Args           []string
	Stdout, Stderr io.Writer
	Env            []string
	Nodes          Nodes
	SystemConfig   string // folder instead of /etc/vidsync
	Columns        int    // above 0: standard error is a terminal of this width
}

// Run runs the program.
func (i Invocation) Run(ctx context.Context) int {
	a := newApp(nil, i.Stdout, i.Stderr, i.Env)
	a.nodes = i.Nodes
	a.system.config = i.SystemConfig
	a.screen = func(w io.Writer) screen {
		if i.Columns == 0 || w != io.Writer(a.stderr) {
			return screen{}
		}
		return screen{terminal: true, width: i.Columns}
	}
	return a.run(ctx, i.Args)
}
