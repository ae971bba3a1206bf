package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newVerify(a *app) *cobra.Command {
	var req api.VerifyRequest
	cmd := &cobra.Command{
		Use:   "verify REF...",
		Short: "read every byte of videos again",
		Long: `Reads every byte of the videos again and compares it with their CIDs. Prints 'ok',
'bad' or 'err' for each, and where the damage is or why it cannot be read. The exit code is 6 if any byte is
wrong. --repair gets the bad pieces from peers.

With -q only the CIDs of the videos that are not ok are printed.`,
		Example: `  vidsync verify CID
  vidsync verify --repair talk.mp4`,
		Args:              takes(1, -1, "at least one REF (a CID or a name)"),
		ValidArgsFunction: a.completeVideos,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Refs = args
			return a.runVerify(cmd.Context(), req)
		},
	}
	cmd.Flags().BoolVar(&req.Repair, "repair", false, "get bad pieces from peers")
	return cmd
}

func (a *app) runVerify(ctx context.Context, req api.VerifyRequest) error {
	var result api.VerifyResult
	err := a.withNode(ctx, need{network: req.Repair}, func(ctx context.Context, s session) (err error) {
		result, err = s.Verify(ctx, req, s.emit)
		return err
	})
	if err != nil {
		return err
	}
	st := a.style(a.stdout)
	for _, v := range result.Videos {
		bare := v.CID
		if v.OK {
			bare = ""
		}
		if err := a.answer("verified", v, bare, verifiedText(v, st)); err != nil {
			return err
		}
	}
	return verifyError(result.Videos)
}

func verifiedText(v api.Verified, st style) string {
	state, rest := "bad", ""
	switch {
	case v.OK && v.Repaired > 0:
		state, rest = "ok ", "  ("+plural(v.Repaired, "piece")+" repaired)"
	case v.OK:
		state = "ok "
	case v.Error != nil:
		state = "err"
		rest = "\n     " + clean(v.Error.Message)
	}
	text := st.paint(stateColor(state), state) + "  " + v.CID
	if v.Name != "" {
		text += "  " + clean(v.Name)
	}
	text += rest
	for _, d := range v.Bad {
		text += fmt.Sprintf("\n     %s: block %d piece %d, %d bytes at %d: %s",
			clean(d.Path), d.Block, d.Piece, d.Length, d.Offset, clean(d.Reason))
	}
	return text
}

// verifyError is the command's error. Wrong bytes weigh more than videos that
// could not be read.
func verifyError(videos []api.Verified) error {
	bad, unread := 0, 0
	var first *api.Error
	for _, v := range videos {
		switch {
		case v.OK:
		case v.Error != nil && v.Error.Code != api.CodeCorrupt:
			unread++
			if first == nil {
				first = v.Error
			}
		default:
			bad++
		}
	}
	switch {
	case bad > 0:
		return api.Errorf(api.CodeCorrupt, "%s of %d damaged; 'vidsync verify --repair' gets the bad pieces from peers", plural(bad, "video"), len(videos))
	case unread == 0:
		return nil
	case unread < len(videos):
		return partly(unread, len(videos), "videos could not be read")
	}
	return first
}
