package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newPeer(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "peer",
		Short: "say which peers are trusted",
		Long: `A trusted peer may read this node's catalogue and fetch every video of it. Trust
goes one way: for both directions, each node adds the other.`,
		Args: groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPeerAdd(a), newPeerRm(a), newPeerLs(a))
	return cmd
}

func newPeerAdd(a *app) *cobra.Command {
	var req api.AddPeerRequest
	cmd := &cobra.Command{
		Use:   "add MULTIADDR-or-ID",
		Short: "trust a peer",
		Long: `Trusts a peer. With a multiaddr, as 'vidsync id' prints it there, this node knows
where to find it; with a bare peer ID it waits until the two meet.`,
		Example: `  vidsync peer add --name stage2 /ip4/192.0.2.7/tcp/4101/p2p/12D3KooW...`,
		Args:    takes(1, 1, "one multiaddr or peer ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Addr = args[0]
			return a.runPeer(cmd.Context(), func(ctx context.Context, s session) (api.Peer, error) { return s.AddPeer(ctx, req) })
		},
	}
	cmd.Flags().StringVar(&req.Name, "name", "", "call the peer `N` here")
	return cmd
}

func newPeerRm(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rm PEER",
		Short: "trust a peer no longer",
		Long: `Takes a peer off the list of those trusted, and lifts its ban if it is banned.
PEER is its ID or its name.`,
		Example: `  vidsync peer rm stage2`,
		Args:    takes(1, 1, "one peer ID or name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runPeer(cmd.Context(), func(ctx context.Context, s session) (api.Peer, error) { return s.RemovePeer(ctx, args[0]) })
		},
	}
}

// runPeer does something with one peer and prints it.
func (a *app) runPeer(ctx context.Context, do func(context.Context, session) (api.Peer, error)) error {
	var p api.Peer
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		p, err = do(ctx, s)
		return err
	})
	if err != nil {
		return err
	}
	return a.answer("peer", p, p.PeerID, peerLine(p))
}

// peerLine is a peer for people.
func peerLine(p api.Peer) string {
	if p.Name == "" {
		return p.PeerID
	}
	return p.PeerID + "  " + clean(p.Name)
}

func newPeerLs(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "list trusted and connected peers",
		Long: `Lists the peers that are trusted, connected or banned, with what has gone to and
come from each since the node started. A peer that sent wrong bytes is not asked
for that video again for 7 days; 'peer add' or 'peer rm' lifts the ban sooner.`,
		Example: `  vidsync peer ls`,
		Args:    takes(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runPeerLs(cmd.Context()) },
	}
}

func (a *app) runPeerLs(ctx context.Context) error {
	var peers []api.Peer
	err := a.withNode(ctx, need{network: true}, func(ctx context.Context, s session) (err error) {
		peers, err = s.Peers(ctx)
		return err
	})
	if err != nil {
		return err
	}
	columns := []column{{title: "name", free: true}, {title: "id"}, {title: "trusted"}, {title: "connected"}, {title: "transport"},
		{title: "in/s", number: true}, {title: "out/s", number: true}, {title: "round trip", number: true}, {title: "in", number: true}, {title: "out", number: true}}
	return rows(a, "peer", peers, func(p api.Peer) string { return p.PeerID }, columns, peerCells)
}

func peerCells(p api.Peer) []string {
	connected, roundTrip := yesNo(p.Connected), "-"
	if p.Banned {
		connected = bannedText(p)
	}
	if p.RoundTripMS > 0 {
		roundTrip = fmt.Sprintf("%.1f ms", p.RoundTripMS)
	}
	return []string{dash(p.Name), p.PeerID, yesNo(p.Trusted), connected, dash(p.Transport),
		rate(p.RateIn), rate(p.RateOut), roundTrip, size(p.BytesIn), size(p.BytesOut)}
}

// bannedText says why and since when a peer is not asked for a video.
func bannedText(p api.Peer) string {
	text := "banned: " + clean(p.BannedReason)
	if b := p.Ban; b != nil {
		where := fmt.Sprintf("block %d piece %d", b.Block, b.Piece)
		if b.Block < 0 {
			where = "the manifest"
		}
		text += fmt.Sprintf(" in %s of %s, %s", where, clean(b.CID), date(b.Time))
	}
	return text
}

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}

// dash is text for a cell of a table, or "-" for none.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return clean(text)
}
