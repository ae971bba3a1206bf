package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newInfo(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "info REF",
		Short: "show one video in detail",
		Long: `Shows one video: its size, its blocks and which of them are here, its files and its
transcripts. REF is its CID, or its name if only one video bears it.`,
		Example: `  vidsync info talk.mp4
  vidsync info --json CID`,
		Args:              takes(1, 1, "one REF (a CID or a name)"),
		ValidArgsFunction: a.completeVideos,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runInfo(cmd.Context(), args[0]) },
	}
}

func (a *app) runInfo(ctx context.Context, ref string) error {
	var info api.Info
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		info, err = s.Info(ctx, ref)
		return err
	})
	if err != nil {
		return err
	}
	return a.answer("info", info, info.CID, infoText(info))
}

func infoText(v api.Info) string {
	have := 0
	for _, b := range v.Blocks {
		if b.Have {
			have++
		}
	}
	l := &labels{}
	l.add("name", v.Name)
	l.add("cid", v.CID)
	l.add("size", fmt.Sprintf("%s (%d bytes)", size(v.Size), v.Size))
	l.add("state", v.State)
	l.add("blocks", fmt.Sprintf("%d of %d here, of %s", have, len(v.Blocks), humanize.IBytes(uint64(max(v.BlockSize, 0)))))
	l.add("type", v.MediaType)
	l.add("added", date(v.Added))
	l.add("path", v.Path)
	for _, f := range v.Files {
		if f != v.Path {
			l.add("also in", f)
		}
	}
	for _, d := range v.Damage {
		l.add("damaged", fmt.Sprintf("%s, bytes %s: %s", d.Path, byteRange(d), d.Reason))
	}
	if v.Removed != nil {
		l.add("file", whyRemoved(v.Removed)+"; bring it back with: vidsync fetch "+v.CID)
	}
	for _, f := range v.Transcripts {
		l.add("transcript", f)
	}
	return l.String()
}

// labels are lines of a label and what it is for.
type labels struct{ lines []string }

const labelWidth = 12

func (l *labels) add(label, text string) {
	if text != "" {
		l.lines = append(l.lines, fmt.Sprintf("%-*s%s", labelWidth, label, clean(text)))
	}
}

func (l *labels) String() string { return strings.Join(l.lines, "\n") }
