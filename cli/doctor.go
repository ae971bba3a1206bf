package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newDoctor(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "check this machine and say how to mend it",
		Long: `Checks what vidsync needs of this machine: transcription engine, ffmpeg, ports, clock,
disk, local discovery and UDP buffers. Prints the remedy for each finding. The exit
code is 1 if there is a problem; warnings alone give 0.`,
		Example: `  vidsync doctor`,
		Args:    takes(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runDoctor(cmd.Context()) },
	}
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
