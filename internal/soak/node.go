package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/internal/rig"
)

// node is a daemon that comes back, on the same home and at the same address.
type node struct {
	vidsync, name, home string
	diary               *slog.Logger
	prefix              []string // put before the daemon's command
	listen              string
	addr                string    // with its peer ID; empty before its first start
	daemon              *rig.Node // nil while it is down
}

func newNode(s *soak, name string) (*node, error) {
	home := filepath.Join(s.dir, name)
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, err
	}
	port, err := freePort()
	return &node{
		vidsync: s.vidsync, name: name, home: home, listen: fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port),
		diary: s.diary.With("node", name),
	}, err
}

// freePort finds a port that nobody listens on. It is not one of those that the
// system gives away by itself, since it must be free again after every kill.
func freePort() (int, error) {
	const first, count, tries = 20_000, 10_000, 100
	var err error
	for range tries {
		port := first + rand.IntN(count)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

// start starts the daemon, behind prefix, unless it runs.
func (n *node) start(ctx context.Context, prefix ...string) (err error) {
	if n.daemon != nil {
		return nil
	}
	prefix = append(prefix, n.prefix...)
	n.diary.Info("start", "prefix", prefix)
	daemon, err := rig.StartNode(ctx, n.vidsync, n.home, rig.Place{Prefix: prefix, Listen: n.listen})
	if err != nil {
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	n.daemon, n.addr = daemon, daemon.Addr
	n.diary.Info("answers", "pid", daemon.PID(), "after", daemon.Ready)
	return nil
}

// stop ends the daemon in order.
func (n *node) stop() {
	if n.daemon != nil {
		n.diary.Info("stop")
		n.daemon.Stop()
		n.daemon = nil
	}
}

// kill ends the daemon at once.
func (n *node) kill() {
	if n.daemon != nil {
		n.diary.Info("kill")
		n.daemon.Kill()
		n.daemon = nil
	}
}

// killStopping has the daemon end in order, and ends it at once after a while.
func (n *node) killStopping(after time.Duration) {
	if n.daemon == nil {
		return
	}
	n.diary.Info("stop, then kill", "after", after)
	late := time.AfterFunc(after, n.daemon.Kill)
	n.daemon.Stop()
	late.Stop()
	n.daemon = nil
}

// died tells, with its last words, whether the daemon ended though nobody ended
// it.
func (n *node) died() error {
	if n.daemon == nil || n.daemon.State() == nil {
		return nil
	}
	return fmt.Errorf("the %s ended by itself: %s: %s", n.name, n.daemon.State(), rig.Tail(rig.LogOf(n.home)))
}

// api is the running daemon's.
func (n *node) api() *api.Client { return n.daemon.API }

// command runs a command of vidsync on the node's home and returns its standard
// output.
func (n *node) command(ctx context.Context, args ...string) (string, error) {
	out, errs, code, err := rig.Command(ctx, n.vidsync, append([]string{"--home", n.home}, args...)...)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d: %s%s", code, out, errs)
	}
	if err != nil {
		return "", fmt.Errorf("%s: vidsync %s: %w", n.name, strings.Join(args, " "), err)
	}
	return out, nil
}

// indexBytes is the space that the index takes on disk.
func (n *node) indexBytes() (int64, error) {
	entries, err := os.ReadDir(filepath.Join(n.home, "index"))
	var total int64
	for _, e := range entries {
		info, statErr := e.Info()
		if errors.Is(statErr, os.ErrNotExist) {
			continue // just now removed
		}
		if statErr != nil {
			return 0, statErr
		}
		total += onDisk(info)
	}
	return total, err
}
