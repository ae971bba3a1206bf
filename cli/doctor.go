package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newDoctor(a *app) *cobra.Command {
	var rebuild bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "check this machine and say how to mend it",
		Long: `Checks what vidsync needs of this machine: transcription engine, ffmpeg, ports, clock,
disk, local discovery, firewall, router, watched folders and UDP buffers. What only a
running daemon can know, it is asked. Prints the remedy for each finding. The exit
code is 1 if there is a problem; warnings alone give 0.

With --rebuild the index is made anew from the journal beside it and from the videos
folder: every file is read and hashed again. The old index is set aside. Stop the
daemon first. Interrupted, the same command goes on.`,
		Example: `  vidsync doctor
  vidsync doctor --rebuild`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if rebuild {
				return a.runRebuild(cmd.Context())
			}
			return a.runDoctor(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&rebuild, "rebuild", false, "make the index anew from the files")
	return cmd
}

func (a *app) runRebuild(ctx context.Context) error {
	p, err := a.paths()
	if err != nil {
		return err
	}
	if a.dialAny(ctx, p) != nil {
		return api.Errorf(api.CodeInUse, "a daemon uses this home; stop it, and give the command again")
	}
	cfg, err := a.nodeConfig(p, false)
	if err != nil {
		return err
	}
	shown := a.startProgress(ctx, need{})
	result, err := a.nodes.rebuild(ctx, *cfg, shown.report)
	if err = errors.Join(err, shown.stop()); err != nil {
		return err
	}
	text := fmt.Sprintf("%s (%s); fetches that go on: %d", plural(result.Videos, "video"), size(result.Bytes), result.Jobs)
	if err := a.answer("rebuilt", result, "", text); err != nil {
		return err
	}
	if result.SetAside != "" && !a.global.json {
		a.hint("the old index is in %s; remove it when you miss nothing", result.SetAside)
	}
	return a.rebuildFailures(result)
}

// rebuildFailures reports the files that are not what they were.
func (a *app) rebuildFailures(result api.Rebuilt) error {
	if len(result.Failed) == 0 {
		return nil
	}
	for _, f := range result.Failed {
		if !a.global.json {
			fmt.Fprintf(a.stderr, "vidsync: %s: %s\n", clean(f.Path), cleanLines(f.Error))
		}
	}
	return partly(len(result.Failed), len(result.Failed)+result.Videos, "files are not what they were")
}

func (a *app) runDoctor(ctx context.Context) error {
	var checks []api.Check
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		checks, err = s.Doctor(ctx)
		return err
	})
	if err != nil {
		return err
	}
	problems := 0
	st := a.style(a.stdout)
	for _, c := range checks {
		bare := ""
		if c.State == "problem" {
			problems++
			bare = c.Name
		}
		if err := a.answer("check", c, bare, checkText(c, st)); err != nil {
			return err
		}
	}
	if problems > 0 {
		return api.Errorf(api.CodeOther, "%s found", plural(problems, "problem"))
	}
	return nil
}

func checkText(c api.Check, st style) string {
	state := fmt.Sprintf("%-9s", clean(c.State))
	text := fmt.Sprintf("%s%-16s %s", st.paint(stateColor(c.State), state), clean(c.Name), clean(c.Detail))
	if c.Remedy != "" {
		text += "\n         remedy: " + clean(c.Remedy)
	}
	return text
}
