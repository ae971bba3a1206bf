package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newID(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "id",
		Short: "print this node's peer ID and addresses",
		Long: `Prints the node's peer ID, then one address a line. Each address has the peer ID
in it and can be given to 'vidsync peer add' on another machine.`,
		Example: `  vidsync id
  vidsync id -q`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runID(cmd.Context()) },
	}
}

func (a *app) runID(ctx context.Context) error {
	var id api.Identity
	err := a.withNode(ctx, need{network: true}, func(ctx context.Context, s session) (err error) {
		id, err = s.ID(ctx)
		return err
	})
	if err != nil {
		return err
	}
	lines := append([]string{id.PeerID}, id.Addrs...)
	return a.answer("id", id, id.PeerID, strings.Join(lines, "\n"))
}
