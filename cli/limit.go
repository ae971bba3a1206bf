package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/daemon"
)

func newLimit(a *app) *cobra.Command {
	var reset bool
	up, down := checkedFlag{check: checkRate, kind: "rate"}, checkedFlag{check: checkRate, kind: "rate"}
	schedule := checkedFlag{check: checkSchedule, kind: "schedule"}
	cmd := &cobra.Command{
		Use:   "limit",
		Short: "show or set how fast pieces may leave and come",
		Long: `Shows the limits in force, after setting those that are given. They hold at once,
also for what runs, and for good: until they are set anew, or --reset goes back to
what the configuration says (limit.up, limit.down, limit.schedule).

A rate is bytes a second with decimal units: 10M, 500K, 1.5MB/s, or off. It counts
the bytes of pieces, over all peers together; the lowest is 16K.

A schedule is entries of a local time and a rate, in quotes. Each holds until the
next one, over midnight too. up= and down= give the directions apart. Of a rate
that is set and the schedule's, the lower holds. An empty schedule removes it.`,
		Example: `  vidsync limit
  vidsync limit --up 10M --down off
  vidsync limit --schedule "08:00,2M 19:00,off"
  vidsync limit --schedule "08:00,up=500K,down=5M 19:00,up=off"`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runLimit(cmd.Context(), api.LimitRequest{Reset: reset, Up: up.given, Down: down.given, Schedule: schedule.given})
		},
	}
	cmd.Flags().Var(&up, "up", "send at most this `RATE`, or off")
	cmd.Flags().Var(&down, "down", "receive at most this `RATE`, or off")
	cmd.Flags().Var(&schedule, "schedule", "limit by the time of day: `\"HH:MM,RATE ...\"`")
	cmd.Flags().BoolVar(&reset, "reset", false, "go back to what the configuration says")
	return cmd
}

func (a *app) runLimit(ctx context.Context, req api.LimitRequest) error {
	var limits api.Limits
	remote := false
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		remote = s.remote
		limits, err = s.Limit(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	if !remote && req != (api.LimitRequest{}) {
		a.hint("stored; no daemon runs now: the next one keeps to it, and so does a command that fetches without one")
	}
	bare := daemon.FormatRate(limits.Up) + " " + daemon.FormatRate(limits.Down)
	return a.answer("limit", limits, bare, limitText(limits))
}

func limitText(v api.Limits) string {
	l := &labels{}
	l.add("up", limitNow(v.Up, v.SetUp))
	l.add("down", limitNow(v.Down, v.SetDown))
	l.add("schedule", v.Schedule)
	if v.NextChange != nil {
		l.add("next entry", date(*v.NextChange))
	}
	if v.Own {
		l.add("set by", "vidsync limit")
	}
	return l.String()
}

// limitNow is the rate that holds in a direction, and the one that is set if
// the schedule lowers it.
func limitNow(now, set int64) string {
	text := limitRate(now)
	if now != set {
		text += " by the schedule"
		if set != 0 {
			text += ", else " + limitRate(set)
		}
	}
	return text
}

func limitRate(perSecond int64) string {
	if perSecond == 0 {
		return "off"
	}
	return rate(float64(perSecond))
}

// limitsLine is the limits in one line; empty if there are none.
func limitsLine(v api.Limits) string {
	if v.Up == 0 && v.Down == 0 && v.Schedule == "" {
		return ""
	}
	text := fmt.Sprintf("up %s, down %s", limitRate(v.Up), limitRate(v.Down))
	if v.NextChange != nil {
		text += ", by the schedule until " + v.NextChange.Local().Format("15:04")
	}
	return text
}

func checkRate(text string) error {
	_, err := daemon.ParseRate(text)
	return err
}

func checkSchedule(text string) error {
	_, err := daemon.ParseSchedule(text)
	return err
}

// checkedFlag is a text that a function must find nothing wrong with.
type checkedFlag struct {
	given *string // nil: not given
	check func(text string) error
	kind  string
}

func (f *checkedFlag) String() string {
	if f.given == nil {
		return ""
	}
	return *f.given
}

func (f *checkedFlag) Type() string { return f.kind }

func (f *checkedFlag) Set(text string) error {
	if err := f.check(text); err != nil {
		return err
	}
	f.given = &text
	return nil
}
