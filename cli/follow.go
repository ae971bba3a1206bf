package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newFollow(a *app) *cobra.Command {
	var req api.FollowRequest
	cmd := &cobra.Command{
		Use:   "follow PEER",
		Short: "bring every video of a peer here, now and from now on",
		Long: `Has the daemon fetch every video that a trusted peer offers, those that are there
now and all that come, under the path that they have below the folder that was
added there. PEER is its name or ID. Given again, the command changes how.

Videos go to a folder named like the peer in the videos folder, or to --into. A
--glob without a slash is for the file's name, another one for its whole path;
upper and lower case are alike. What is removed there stays here. Once a video is
here whole and was read back from the disk, the peer gets a signed receipt, and
then the transcript.`,
		Example: `  vidsync follow stage2
  vidsync follow stage2 --into /srv/videos --glob '*.mp4' --newest-first
  vidsync follow ls`,
		Args: takes(1, 1, "one peer ID or name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Peer = args[0]
			return a.runFollow(cmd.Context(), req)
		},
	}
	cmd.Flags().StringVar(&req.Into, "into", "", "put the videos into this `DIR`")
	cmd.Flags().StringArrayVar(&req.Globs, "glob", nil, "fetch only what matches this `PATTERN`; may be given again")
	cmd.Flags().BoolVar(&req.NewestFirst, "newest-first", false, "fetch the newest first, not the oldest")
	cmd.AddCommand(newFollowLs(a))
	return cmd
}

func (a *app) runFollow(ctx context.Context, req api.FollowRequest) error {
	if req.Into != "" {
		dir, err := filepath.Abs(req.Into)
		if err != nil {
			return err
		}
		req.Into = dir
	}
	return a.oneFollow(ctx, true, func(ctx context.Context, s session) (api.Follow, error) { return s.Follow(ctx, req) })
}

// oneFollow does something with one followed peer and prints it.
func (a *app) oneFollow(ctx context.Context, begins bool, do func(context.Context, session) (api.Follow, error)) error {
	var f api.Follow
	remote := false
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		remote = s.remote
		f, err = do(ctx, s)
		return err
	})
	if err != nil {
		return err
	}
	if begins && !remote {
		a.hint("stored; no daemon runs now: it begins with the next one")
	}
	return a.answer("follow", f, f.PeerID, followLine(f))
}

// followLine is a followed peer for people.
func followLine(f api.Follow) string {
	line := f.PeerID
	if f.Name != "" {
		line += "  " + clean(f.Name)
	}
	return line + "  " + clean(f.Into)
}

func newUnfollow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "unfollow PEER",
		Short: "follow a peer no more",
		Long: `Ends 'vidsync follow'. What is here stays, and fetches that have begun are
finished. PEER is its name or ID.`,
		Example: `  vidsync unfollow stage2`,
		Args:    takes(1, 1, "one peer ID or name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.oneFollow(cmd.Context(), false, func(ctx context.Context, s session) (api.Follow, error) { return s.Unfollow(ctx, args[0]) })
		},
	}
}

func newFollowLs(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "list the followed peers",
		Long: `Lists the followed peers. STATE is following, or waiting (and what for). WAITING is
how many of a peer's videos are known but not here yet.`,
		Example: `  vidsync follow ls`,
		Args:    takes(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runFollowLs(cmd.Context()) },
	}
}

func (a *app) runFollowLs(ctx context.Context) error {
	var follows []api.Follow
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		follows, err = s.Follows(ctx)
		return err
	})
	if err != nil {
		return err
	}
	columns := []column{{title: "name", free: true}, {title: "id"}, {title: "state"}, {title: "waiting", number: true},
		{title: "into", free: true}, {title: "only", free: true}, {title: "order"}, {title: "message"}}
	return rows(a, "follow", follows, func(f api.Follow) string { return f.PeerID }, columns, followCells)
}

func followCells(f api.Follow) []string {
	order := "oldest first"
	if f.NewestFirst {
		order = "newest first"
	}
	return []string{dash(f.Name), f.PeerID, clean(f.State), fmt.Sprint(f.Waiting), clean(f.Into),
		dash(strings.Join(f.Globs, " ")), order, dash(f.Message)}
}
