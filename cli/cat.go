package cli

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newCat(a *app) *cobra.Command {
	req := api.CatRequest{}
	var offset, length bytesFlag
	cmd := &cobra.Command{
		Use:   "cat REF",
		Short: "write the bytes of a video to standard output",
		Long: `Writes the bytes of a video, or of a range of it, to standard output. Every byte is
checked first, and what is not here is fetched. REF is a CID, a ticket or a name.`,
		Example: `  vidsync cat CID | mpv -
  vidsync cat --offset 1MiB --length 4096 CID | xxd`,
		Args:              takes(1, 1, "one REF (a CID, a ticket or a name)"),
		ValidArgsFunction: a.completeVideos,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Ref, req.Offset, req.Length = args[0], int64(offset), -1
			if cmd.Flags().Changed("length") {
				req.Length = int64(length)
			}
			return a.runCat(cmd.Context(), req)
		},
	}
	cmd.Flags().Var(&offset, "offset", "begin at this byte")
	cmd.Flags().Var(&length, "length", "write this many bytes; else to the end")
	cmd.Flags().StringArrayVar(&req.Peers, "peer", nil, "ask this `multiaddr` too; may be repeated")
	return cmd
}

func (a *app) runCat(ctx context.Context, req api.CatRequest) error {
	if req.Length == 0 {
		return nil
	}
	want := need{network: true, draws: a.global.json || a.screen(a.stdout).terminal}
	return a.withNode(ctx, want, func(ctx context.Context, s session) error {
		w := &countingWriter{w: a.stdout, emit: s.emit, begin: time.Now(), want: max(req.Length, 0)}
		return s.Cat(ctx, req, w)
	})
}

// countingWriter reports how much has gone through it.
type countingWriter struct {
	w     io.Writer
	emit  func(api.Progress)
	begin time.Time
	want  int64 // 0: not known

	mu   sync.Mutex
	done int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done += int64(n)
	report := api.Progress{Phase: "reading", Done: c.done, Size: c.want, ETASeconds: -1}
	if passed := time.Since(c.begin).Seconds(); passed > 0 {
		report.BytesPerSecond = float64(c.done) / passed
	}
	if c.want > 0 && report.BytesPerSecond > 0 {
		report.ETASeconds = float64(c.want-c.done) / report.BytesPerSecond
	}
	c.emit(report)
	return n, err
}
