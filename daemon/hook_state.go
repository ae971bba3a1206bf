package daemon

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/hook"
)

// The states of a hook.
const (
	hookIdle    = "idle"
	hookWaiting = "waiting"
	hookFailing = "failing"
)

// listed are the hooks that are configured.
func (h *hookQueue) listed() []api.Hook {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []api.Hook
	for _, t := range h.targets {
		l := api.Hook{
			Kind: t.name, Target: t.sender.String(), State: hookIdle, Pending: t.pending,
			Delivered: t.delivered, Failures: t.failures, Lost: t.lost, Message: t.trouble,
		}
		switch {
		case t.trouble != "":
			l.State = hookFailing
		case t.pending > 0:
			l.State = hookWaiting
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b api.Hook) int { return strings.Compare(a.Kind, b.Kind) })
	return out
}

// checkHooks tells of hooks that do not take events. There is nothing to tell
// where none is configured.
func (n *Node) checkHooks() []api.Check {
	var checks []api.Check
	for _, h := range n.hooks.listed() {
		c := api.Check{Name: "hook " + h.Kind, State: checkOK, Detail: fmt.Sprintf("%s: %d events wait, %d were taken", h.Target, h.Pending, h.Delivered)}
		switch {
		case h.Pending >= maxHookPending:
			c.State, c.Remedy = checkProblem, "further events are lost until some are taken: "+hookRemedy(h)
		case h.State == hookFailing:
			c.State, c.Remedy = checkWarning, hookRemedy(h)
		case h.Lost > 0:
			c.State, c.Remedy = checkWarning, "look at the log for which they are"
		}
		if h.Message != "" {
			c.Detail += "; the last attempt failed: " + h.Message
		}
		if h.Lost > 0 {
			c.Detail += fmt.Sprintf("; %d were lost", h.Lost)
		}
		checks = append(checks, c)
	}
	return append(checks, n.checkHookCommand()...)
}

func hookRemedy(h api.Hook) string {
	if h.Kind == hookCommand {
		return "mend the program, or hooks.command in config.toml"
	}
	return "mend the server, or hooks.url and hooks.secret-file in config.toml"
}

// checkHookCommand looks whether the command can be run at all.
func (n *Node) checkHookCommand() []api.Check {
	h := n.hooks
	h.mu.Lock()
	command, ok := h.rules.senders[hookCommand].(*hook.Command)
	h.mu.Unlock()
	if !ok {
		return nil
	}
	err := command.Check()
	if err == nil {
		return nil
	}
	return []api.Check{{Name: "hook program", State: checkProblem, Detail: err.Error(), Remedy: "install it, or name another with hooks.command in config.toml"}}
}

func collectHooks(out chan<- prometheus.Metric, hooks []api.Hook) {
	metric := func(name, help string, kind prometheus.ValueType, value float64, hook string) {
		desc := prometheus.NewDesc("vidsync_hook_"+name, help, []string{"hook"}, nil)
		out <- prometheus.MustNewConstMetric(desc, kind, value, hook)
	}
	for _, h := range hooks {
		metric("pending", "Events that a hook has not been told.", prometheus.GaugeValue, float64(h.Pending), h.Kind)
		metric("delivered_total", "Events that a hook was told.", prometheus.CounterValue, float64(h.Delivered), h.Kind)
		metric("failures_total", "Attempts to tell a hook that failed.", prometheus.CounterValue, float64(h.Failures), h.Kind)
		metric("lost_total", "Events that a hook will not be told: given up, refused, or without room.", prometheus.CounterValue, float64(h.Lost), h.Kind)
	}
}
