package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

// maxInviteLine bounds what join reads from standard input.
const maxInviteLine = 8 << 10

func newInvite(a *app) *cobra.Command {
	var expires durationFlag
	var req api.InviteRequest
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "let another node join this one",
		Long: `Makes an invite: one line to give to the owner of another node. When 'vidsync join'
gets it there, the two nodes trust each other: each may read the other's catalogue
and fetch its videos. An invite is good for one node, and for one day unless said
otherwise. Whoever has the line can use it, so send it like a password.

With --follow every video of the node that joins is fetched, as 'vidsync follow'
does, into the folder of --into if there is one.`,
		Example: `  vidsync invite
  vidsync invite --follow
  vidsync invite --expires 1h -q | ssh stage2 vidsync join -`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			req.Expires = time.Duration(expires)
			if req.Into == "" {
				return a.runInvite(cmd.Context(), req)
			}
			if !req.Follow {
				return usagef("--into is for what is followed; give --follow, too")
			}
			dirs, err := absolute([]string{req.Into})
			if err != nil {
				return err
			}
			req.Into = dirs[0]
			return a.runInvite(cmd.Context(), req)
		},
	}
	cmd.Flags().Var(&expires, "expires", "how long the invite is good for, as 90m or 7d")
	cmd.Flags().BoolVar(&req.Follow, "follow", false, "fetch every video of the node that joins, now and from now on")
	cmd.Flags().StringVar(&req.Into, "into", "", "put them into this `DIR` (default: a folder of the node's name in the videos folder)")
	return cmd
}

func (a *app) runInvite(ctx context.Context, req api.InviteRequest) error {
	var invite api.Invite
	err := a.withNode(ctx, need{network: true}, func(ctx context.Context, s session) (err error) {
		invite, err = s.Invite(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	return a.answer("invite", invite, invite.Invite, invite.Invite)
}

func newJoin(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "join INVITE",
		Short: "join a node that has made an invite",
		Long: `Redeems what 'vidsync invite' printed on another node. That node has to be running
and to be reachable from here. Afterwards both trust each other.

With '-' the invite is read from standard input, where no other user of this machine
sees it.`,
		Example: `  vidsync join -
  vidsync join vidsyncinvite1...`,
		Args: takes(1, 1, "one INVITE, or - to read it from standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			invite, err := a.secretArg(args[0])
			if err != nil {
				return err
			}
			return a.runJoin(cmd.Context(), invite)
		},
	}
}

// secretArg is an argument, or for "-" the first line of standard input.
func (a *app) secretArg(arg string) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	data, err := io.ReadAll(io.LimitReader(a.stdin, maxInviteLine))
	if err != nil {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	if line == "" {
		return "", usagef("standard input is empty; paste the line that 'vidsync invite' printed")
	}
	return line, nil
}

func (a *app) runJoin(ctx context.Context, invite string) error {
	var p api.Peer
	err := a.withNode(ctx, need{network: true}, func(ctx context.Context, s session) (err error) {
		p, err = s.Join(ctx, api.JoinRequest{Invite: invite})
		return err
	})
	if err != nil {
		return err
	}
	return a.answer("joined", p, p.PeerID, peerLine(p))
}
