package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

// States of a transcription that commands treat apart; api.Transcript has all.
const (
	transcriptOff     = "off"
	transcriptDone    = "done"
	transcriptQueued  = "queued"
	transcriptNoAudio = "no_audio"
	transcriptFailed  = "failed"
)

func newTranscribe(a *app) *cobra.Command {
	var req api.TranscribeRequest
	cmd := &cobra.Command{
		Use:   "transcribe REF-or-FILE",
		Short: "write the transcript of a video",
		Long: `Writes the transcript of a video that is here, or of any media file, beside it: as
srt, vtt, txt and json. Prints their paths, one a line. A transcript that exists
and fits is not made again.`,
		Example: `  vidsync transcribe talk.mp4
  vidsync transcribe --engine whisper --language de CID`,
		Args: takes(1, 1, "one REF (a CID or a name) or media FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Ref = args[0]
			return a.runTranscribe(cmd.Context(), req)
		},
	}
	cmd.Flags().StringVar(&req.Engine, "engine", "", "use engine `E`: auto, pocketsphinx, whisper, openai or command")
	cmd.Flags().StringVar(&req.Language, "language", "", "the language `L` that is spoken, as ISO 639-1 code")
	return cmd
}

func (a *app) runTranscribe(ctx context.Context, req api.TranscribeRequest) error {
	ref, err := refOrFile(req.Ref)
	if err != nil {
		return err
	}
	req.Ref = ref
	var t api.Transcript
	err = a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		t, err = s.Transcribe(ctx, req, s.emit)
		return err
	})
	if err != nil {
		return err
	}
	paths := strings.Join(t.Files, "\n")
	if err := a.answer("transcribed", t, paths, paths); err != nil {
		return err
	}
	switch t.State {
	case transcriptDone:
		return nil
	case transcriptQueued, transcriptNoAudio:
		a.hint("%s", transcriptOutcome(t))
		return nil
	}
	return api.Errorf(api.CodeOther, "%s", transcriptOutcome(t))
}

// refOrFile makes a file's path absolute and leaves a reference as it is. What
// exists as a file, or has a separator in it, is a file.
func refOrFile(arg string) (string, error) {
	_, err := os.Stat(arg)
	if err != nil && !strings.ContainsRune(arg, filepath.Separator) {
		return arg, nil
	}
	return filepath.Abs(arg)
}
