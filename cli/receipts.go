package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newReceipts(a *app) *cobra.Command {
	safe := 0
	cmd := &cobra.Command{
		Use:   "receipts REF",
		Short: "list who else holds a video whole",
		Long: `Lists the peers that hold a video of this node. Each line is a statement that the
peer has signed after it had read every byte back from its disk; --json has all that
somebody else needs to verify it. A peer sends one for each video that it follows.

With --safe N the command succeeds only if N other trusted peers hold the video.`,
		Example: `  vidsync receipts talk.mp4
  vidsync receipts --safe 2 talk.mp4 && rm talk.mp4`,
		Args: takes(1, 1, "one CID or name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("safe") && safe < 1 {
				return usagef("--safe: %d is not a number of 1 or more", safe)
			}
			return a.runReceipts(cmd.Context(), args[0], safe)
		},
	}
	cmd.Flags().IntVar(&safe, "safe", 0, "fail unless `N` other peers hold the video")
	return cmd
}

func (a *app) runReceipts(ctx context.Context, ref string, safe int) error {
	var r api.Receipts
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		r, err = s.Receipts(ctx, ref)
		return err
	})
	if err != nil {
		return err
	}
	columns := []column{{title: "name", free: true}, {title: "holder"}, {title: "size", number: true}, {title: "since"}, {title: "trusted"}}
	err = rows(a, "receipt", r.Receipts, func(r api.Receipt) string { return r.Holder }, columns, receiptCells)
	if err != nil {
		return err
	}
	if r.Removed != nil {
		a.hint("the file here was %s", whyRemoved(r.Removed))
	}
	if r.Safe < safe {
		return api.Errorf(api.CodeUnavailable, "%s (%s) is held by %d other peers, not by %d; one that follows this node sends its receipt once it has the video", clean(r.Name), r.CID, r.Safe, safe)
	}
	return nil
}

func receiptCells(r api.Receipt) []string {
	return []string{dash(r.Name), r.Holder, size(r.Size), date(r.At), yesNo(r.Trusted)}
}
