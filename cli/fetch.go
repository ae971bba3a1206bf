package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newFetch(a *app) *cobra.Command {
	var req api.FetchRequest
	var timeout durationFlag
	cmd := &cobra.Command{
		Use:   "fetch REF",
		Short: "bring a video here",
		Long: `Brings a video here whole and checks every piece of it on arrival. REF is a
ticket, or the CID of a video that trusted peers have. Several sources are used at
once. Prints the path of the finished video and, unless told otherwise, ends only
when its transcript is written too.

An interrupted fetch loses nothing: the same command goes on where it stopped.
With --detach the daemon fetches by itself; the CID is printed at once, and
'vidsync jobs' shows how it goes.`,
		Example: `  vidsync fetch vidsync1...           # a ticket
  vidsync fetch -o talk.mp4 CID
  vidsync fetch --timeout 2h --no-transcribe CID`,
		Args:              takes(1, 1, "one REF (a CID or a ticket)"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Ref, req.Timeout = args[0], time.Duration(timeout)
			return a.runFetch(cmd.Context(), req)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&req.Output, "output", "o", "", "put the video at `PATH`, a file or a folder; else into the videos folder")
	flags.StringArrayVar(&req.Peers, "peer", nil, "ask this `multiaddr` too; may be repeated")
	flags.Var(&timeout, "timeout", "give up after this time, with exit code 5; the same command goes on later")
	flags.BoolVar(&req.NoTranscribe, "no-transcribe", false, "write no transcript")
	flags.BoolVar(&req.Detach, "detach", false, "leave the work to the daemon, and print the CID")
	return cmd
}

func (a *app) runFetch(ctx context.Context, req api.FetchRequest) error {
	if req.Output != "" {
		output, err := absolute([]string{req.Output})
		if err != nil {
			return err
		}
		req.Output = output[0]
	}
	var result api.FetchResult
	remote := false
	want := need{network: true, daemon: req.Detach, stream: true}
	err := a.withNode(ctx, want, func(ctx context.Context, s session) (err error) {
		remote = s.remote
		result, err = s.Fetch(ctx, req, s.emit)
		return err
	})
	if err != nil {
		a.hintInterruptedFetch(ctx, remote)
		return err
	}
	if req.Detach {
		return a.answer("fetched", result, result.CID, result.CID)
	}
	if a.global.progress != progressOff {
		a.hint("%s", fetchSummary(result, style{unicode: a.unicode()}))
	}
	if err := a.answer("fetched", result, result.Path, result.Path); err != nil {
		return err
	}
	return transcriptError(result)
}

func (a *app) hintInterruptedFetch(ctx context.Context, remote bool) {
	switch {
	case interruptOf(ctx) == nil:
	case remote:
		a.hint("the daemon goes on with this fetch; see 'vidsync jobs'")
	default:
		a.hint("what has arrived is kept; the same command goes on from there")
	}
}

// fetchSummary is the last line of a fetch for people.
func fetchSummary(r api.FetchResult, st style) string {
	parts := []string{fmt.Sprintf("fetched %s in %s", size(r.Size), span(seconds(r.Seconds)))}
	if r.Seconds > 0 && r.BytesReceived > 0 {
		parts[0] += fmt.Sprintf(" (%s)", rate(float64(r.BytesReceived)/r.Seconds))
	}
	if from := shares(r.Peers, st); from != "" {
		parts = append(parts, from)
	}
	for _, more := range []struct {
		bytes int64
		what  string
	}{{r.ResumedBytes, "already here"}, {r.LocalBytes, "from other files here"}, {r.DuplicateBytes, "received twice"}} {
		if more.bytes > 0 {
			parts = append(parts, size(more.bytes)+" "+more.what)
		}
	}
	if r.Transcript != nil && r.Transcript.State != transcriptOff && r.Transcript.State != transcriptFailed {
		parts = append(parts, transcriptOutcome(*r.Transcript))
	}
	return strings.Join(parts, "; ")
}

// transcriptOutcome says in words what became of a transcription.
func transcriptOutcome(t api.Transcript) string {
	words := map[string]string{
		transcriptDone:    "transcript written",
		transcriptQueued:  "transcript waits for its turn",
		transcriptNoAudio: "no transcript: the video has no audio",
		"engine_missing":  "no transcript: no engine; see 'vidsync doctor'",
	}
	outcome, ok := words[t.State]
	if !ok {
		outcome = "no transcript: " + strings.ReplaceAll(t.State, "_", " ")
	}
	if t.Message != "" && t.State != transcriptDone {
		outcome += " (" + t.Message + ")"
	}
	return outcome
}

// transcriptError is the error of a fetch whose video is whole and whose
// transcription broke. That there can be no transcript is no error.
func transcriptError(r api.FetchResult) error {
	if r.Transcript == nil || r.Transcript.State != transcriptFailed {
		return nil
	}
	return api.Errorf(api.CodePartly, "the video is whole, but its transcription failed: %s; try 'vidsync transcribe %s'", r.Transcript.Message, r.CID)
}
