package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newLs(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "list the videos of this node",
		Long: `Lists the catalogue: every video that this node offers or is fetching. STATE is
whole, partial, changed (its file is no longer what was added) or missing (its
file is gone).`,
		Example: `  vidsync ls
  vidsync ls -q | xargs vidsync verify`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runLs(cmd.Context()) },
	}
}

func (a *app) runLs(ctx context.Context) error {
	var videos []api.Video
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		videos, err = s.Videos(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if len(videos) == 0 {
		a.hint("no videos yet; 'vidsync add PATH' offers one, 'vidsync fetch REF' brings one here")
	}
	st := a.style(a.stdout)
	columns := []column{{title: "cid"}, {title: "name", free: true}, {title: "size", number: true}, {title: "state"}, {title: "transcript"}, {title: "added"}}
	cells := func(v api.Video) []string {
		return []string{v.CID, dash(v.Name), size(v.Size), st.paint(stateColor(v.State), stateOf(v)), dash(v.Transcript), date(v.Added)}
	}
	return rows(a, "video", videos, func(v api.Video) string { return v.CID }, columns, cells)
}

// stateOf is a video's state, with how much of it is here if not all is.
func stateOf(v api.Video) string {
	if v.State != "partial" {
		return clean(v.State)
	}
	return "partial " + amount(api.Progress{Done: v.Have, Size: v.Size})
}
