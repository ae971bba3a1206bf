package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

func newJobs(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "jobs",
		Short: "list fetches and transcriptions",
		Long: `Lists the durable tasks of this node: fetches and transcriptions. STATE is queued,
running, waiting (and what for), done or failed. Jobs outlive the daemon: it goes
on with them when it starts again.`,
		Example: `  vidsync jobs
  vidsync jobs --json`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runJobs(cmd.Context()) },
	}
}

func (a *app) runJobs(ctx context.Context) error {
	var jobs []api.Job
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		jobs, err = s.Jobs(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return a.printJobs(jobs)
}

func (a *app) printJobs(jobs []api.Job) error {
	st := a.style(a.stdout)
	columns := []column{{title: "kind"}, {title: "state"}, {title: "video", free: true}, {title: "progress"}, {title: "updated"}, {title: "message"}}
	cells := func(j api.Job) []string {
		video := j.Name
		if video == "" {
			video = j.CID
		}
		return []string{j.Kind, st.paint(stateColor(j.State), clean(j.State)), dash(video), jobProgress(j), date(j.Updated), dash(j.Message)}
	}
	return rows(a, "job", jobs, func(j api.Job) string { return j.ID }, columns, cells)
}

func jobProgress(j api.Job) string {
	if j.Progress == nil {
		return "-"
	}
	f := factsOf(view{latest: *j.Progress})
	return dash(joinNonEmpty(f.percent, f.amount, f.rate))
}
