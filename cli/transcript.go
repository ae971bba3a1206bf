package cli

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

var transcriptFormats = []string{"srt", "vtt", "txt", "json"}

func newTranscript(a *app) *cobra.Command {
	req := api.TranscriptRequest{}
	cmd := &cobra.Command{
		Use:   "transcript REF",
		Short: "print the transcript of a video",
		Long: `Prints the transcript of a video that has one. --format json gives words with
their times; --json wraps the text of any format into one object.`,
		Example: `  vidsync transcript talk.mp4
  vidsync transcript --format srt CID > talk.srt`,
		Args:              takes(1, 1, "one REF (a CID or a name)"),
		ValidArgsFunction: a.completeVideos,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Ref = args[0]
			return a.runTranscript(cmd.Context(), req)
		},
	}
	cmd.Flags().StringVar(&req.Format, "format", "txt", strings.Join(transcriptFormats, ", "))
	return cmd
}

// transcriptText is a transcript as --json prints it.
type transcriptText struct {
	Ref    string `json:"ref"`
	Format string `json:"format"`
	Text   string `json:"text"`
}

func (a *app) runTranscript(ctx context.Context, req api.TranscriptRequest) error {
	if !slices.Contains(transcriptFormats, req.Format) {
		return usagef("--format: %q is not one of %s", req.Format, strings.Join(transcriptFormats, ", "))
	}
	var text bytes.Buffer
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) error {
		return s.TranscriptText(ctx, req, &text)
	})
	if err != nil {
		return err
	}
	if a.global.json {
		return a.printJSON(a.stdout, "transcript", transcriptText{req.Ref, req.Format, text.String()})
	}
	_, err = text.WriteTo(a.stdout)
	return err
}
