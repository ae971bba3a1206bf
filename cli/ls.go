package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newLs(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "list the videos of this node",
		Long: `Lists the catalogue: every video that this node offers or is fetching. STATE is
whole, partial, changed (its file is no longer what was added), missing (its file
is gone), damaged (wrong bytes were found in its file; they are not served) or
removed (its file was deleted by 'watch add --remove-after', as others hold it).`,
		Example: `  vidsync ls
  vidsync ls -q | xargs vidsync verify`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runLs(cmd.Context()) },
	}
}

func (a *app) runLs(ctx context.Context) error {
	st := a.style(a.stdout)
	columns := []column{{title: "cid"}, {title: "name", free: true}, {title: "size", number: true}, {title: "state"}, {title: "transcript"}, {title: "added"}}
	cells := func(v api.Video) []string {
		return []string{v.CID, dash(v.Name), size(v.Size), st.paint(stateColor(v.State), stateOf(v)), dash(v.Transcript), date(v.Added)}
	}
	listed := 0
	err := a.withNode(ctx, need{draws: true}, func(ctx context.Context, s session) (err error) {
		listed, err = flow(a, "video", s.Videos(ctx), func(v api.Video) string { return v.CID }, columns, cells)
		return err
	})
	if err == nil && listed == 0 {
		a.hint("no videos yet; 'vidsync add PATH' offers one, 'vidsync fetch REF' brings one here")
	}
	return err
}

// stateOf is a video's state, with how much of it is here if not all is, and
// with where it is damaged.
func stateOf(v api.Video) string {
	switch {
	case v.State == "partial":
		return "partial " + amount(api.Progress{Done: v.Have, Size: v.Size})
	case v.Removed != nil:
		return "removed, safe at " + holderNames(v.Removed.Holders)
	case len(v.Damage) == 1:
		return clean(v.State) + " at " + byteRange(v.Damage[0])
	case len(v.Damage) > 1:
		return clean(v.State) + " at " + byteRange(v.Damage[0]) + " and more"
	}
	return clean(v.State)
}

// byteRange is the range of a damage, its first and last byte.
func byteRange(d api.Damage) string { return fmt.Sprintf("%d-%d", d.Offset, d.Offset+d.Length-1) }
