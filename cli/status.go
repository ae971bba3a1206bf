package cli

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

const (
	watchInterval = time.Second
	clearScreen   = "\x1b[H\x1b[2J"
)

func newStatus(a *app) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show this node at a glance",
		Long: `Shows the node: who it is, what it has, whom it is connected with, what goes in and
out, hooks and what waits for them, and the jobs that have not ended. --watch shows it again every second; it
needs a running daemon.`,
		Example: `  vidsync status
  vidsync status --watch`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return a.runStatusWatch(cmd.Context())
			}
			return a.runStatus(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again every second until interrupted")
	return cmd
}

func (a *app) runStatus(ctx context.Context) error {
	var status api.Status
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		status, err = s.Status(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return a.printStatus(status)
}

func (a *app) runStatusWatch(ctx context.Context) error {
	redraw := a.moving(a.stdout) && !a.global.json
	return a.withNode(ctx, need{daemon: true, draws: true}, func(ctx context.Context, s session) error {
		ticker := time.NewTicker(watchInterval)
		defer ticker.Stop()
		for {
			status, err := s.Status(ctx)
			if err != nil {
				return err
			}
			if redraw {
				fmt.Fprint(a.stdout, clearScreen)
			}
			if err := a.printStatus(status); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-ticker.C:
			}
		}
	})
}

func (a *app) printStatus(s api.Status) error {
	if err := a.answer("status", s, s.PeerID, statusText(s)); err != nil {
		return err
	}
	if a.global.json || a.global.quiet || len(s.Jobs) == 0 {
		return nil
	}
	fmt.Fprintln(a.stdout)
	return a.printJobs(s.Jobs)
}

func statusText(s api.Status) string {
	l := &labels{}
	l.add("peer id", s.PeerID)
	l.add("version", s.Version)
	if s.Daemon {
		l.add("daemon", "running since "+date(s.Started))
	} else {
		l.add("daemon", "not running")
	}
	l.add("addresses", strings.Join(s.Addrs, " "))
	l.add("videos", fmt.Sprintf("%d, %s", s.Videos, size(s.Bytes)))
	l.add("peers", fmt.Sprintf("%d connected", s.Peers))
	l.add("in", fmt.Sprintf("%s, %s so far", rate(s.RateIn), size(s.BytesIn)))
	l.add("out", fmt.Sprintf("%s, %s so far", rate(s.RateOut), size(s.BytesOut)))
	l.add("limits", limitsLine(s.Limits))
	l.add("memory", memoryLine(s))
	l.add("in use", joinNonEmpty(inUse("connections", s.Resources.Connections), inUse("streams", s.Resources.Streams), inUse("files", s.Resources.OpenFiles)))
	l.add("disk free", size(s.DiskFree))
	for _, h := range s.Hooks {
		l.add(h.Kind, hookLine(h))
	}
	return l.String()
}

// hookLine is how a hook fares.
func hookLine(h api.Hook) string {
	text := fmt.Sprintf("%s, %s: %d events wait, %d taken", clean(h.Target), h.State, h.Pending, h.Delivered)
	if h.Lost > 0 {
		text += fmt.Sprintf(", %d lost", h.Lost)
	}
	return joinNonEmpty(text, clean(h.Message))
}

// memoryLine is the memory that the node holds, and the parts that have limits.
func memoryLine(s api.Status) string {
	r, text := s.Resources, size(s.MemoryBytes)
	for _, part := range []struct {
		name string
		api.Usage
	}{{"network", r.NetworkMemory}, {"serving", r.ServingMemory}, {"pieces", r.PieceMemory}} {
		if part.Limit > 0 {
			text += fmt.Sprintf("; %s %s of %s", part.name, size(part.Used), size(part.Limit))
		}
	}
	return text
}

// inUse is how many of some things are in use; empty if nobody counts.
func inUse(name string, u api.Usage) string {
	switch {
	case u.Limit > 0 && u.Limit < math.MaxInt32:
		return fmt.Sprintf("%d of %d %s", u.Used, u.Limit, name)
	case u.Used > 0:
		return fmt.Sprintf("%d %s", u.Used, name)
	}
	return ""
}
