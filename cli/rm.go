package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newRm(a *app) *cobra.Command {
	var req api.RemoveRequest
	cmd := &cobra.Command{
		Use:   "rm REF",
		Short: "forget a video",
		Long: `Forgets a video: it is no longer offered. Its files stay where they are, unless
--files is given: then they are deleted, also one that was added in place.`,
		Example: `  vidsync rm CID
  vidsync rm --files talk.mp4`,
		Args:              takes(1, 1, "one REF (a CID or a name)"),
		ValidArgsFunction: a.completeVideos,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Ref = args[0]
			return a.runRm(cmd.Context(), req)
		},
	}
	cmd.Flags().BoolVar(&req.Files, "files", false, "delete its files too")
	return cmd
}

func (a *app) runRm(ctx context.Context, req api.RemoveRequest) error {
	var freed api.Freed
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		freed, err = s.Remove(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	l := &labels{}
	l.add("forgot", freed.CID+"  "+freed.Name)
	for _, f := range freed.Files {
		l.add("deleted", f)
	}
	for _, f := range freed.Kept {
		l.add("kept", f)
	}
	l.add("freed", freedText(freed))
	return a.answer("removed", freed, freed.CID, l.String())
}
