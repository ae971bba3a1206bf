package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

const daemonName = "daemon"

func newDaemon(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   daemonName,
		Short: "run this node until it is told to stop",
		Long: `Runs the node in the foreground: it serves peers, fetches, transcribes, and answers
other vidsync commands on this machine. Logs go to standard error. When 'vidsync
status' answers, the node is ready; systemd is told so too.

SIGHUP makes it read its configuration again: limits, peers and hooks change at once,
the log names what needs a restart. SIGINT or SIGTERM ends it in order, with exit code 0; a second one at once. A home
that another process uses gives exit code 11.`,
		Example: `  vidsync daemon
  vidsync daemon --listen /ip4/0.0.0.0/tcp/4101 --no-mdns
  vidsync --home /srv/node2 daemon --listen /ip4/127.0.0.1/tcp/0`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDaemon(cmd.Context()) },
	}
	// The settings read these flags, and say which of the sources counts.
	flags := cmd.Flags()
	flags.StringArray("listen", nil, "listen on this `multiaddr`; may be repeated")
	flags.StringArray("peer", nil, "stay connected with this `multiaddr`; may be repeated")
	flags.Bool("no-mdns", false, "do not look for peers on the local network")
	flags.StringArray("relay", nil, "can be reached through the relay at this `multiaddr`; may be repeated")
	flags.Bool("relay-service", false, "be a relay for trusted peers")
	flags.Bool("relay-data", false, "let videos cross relays where nothing else leads through")
	flags.Bool("no-port-map", false, "do not ask the router to forward a port")
	flags.Bool("open", false, "serve every stranger")
	flags.String("api", "", "also serve the local API on this TCP `address`, with a token")
	return cmd
}

func (a *app) runDaemon(ctx context.Context) error {
	p, err := a.paths()
	if err != nil {
		return err
	}
	cfg, err := a.nodeConfig(p, true)
	if err != nil {
		return err
	}
	node, err := a.openDaemon(ctx, *cfg)
	if err != nil {
		return err
	}
	stop := onHangup(func() { a.reload(node, cfg) })
	err = node.Run(ctx)
	stop()
	if interruptOf(ctx) != nil && errors.Is(err, context.Canceled) {
		err = nil // stopping in order is what the signal asked for
	}
	return errors.Join(err, node.Close())
}

// openDaemon waits for a short command that holds the home, but not for another
// daemon.
func (a *app) openDaemon(ctx context.Context, cfg nodeConfig) (node engine, err error) {
	var other api.Node
	err = whileInUse(ctx, func() (err error) {
		if other, err = a.nodes.dial(ctx, cfg.paths.Socket); err == nil {
			return nil
		}
		node, err = a.nodes.open(ctx, cfg)
		return err
	})
	if other != nil {
		return nil, api.Errorf(api.CodeInUse, "a daemon already runs on this home; it answers at %s", cfg.paths.Socket)
	}
	return node, err
}
