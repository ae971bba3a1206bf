package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/hook"
)

// The events that hooks hear of.
const (
	hookAdded      = "added"
	hookArrived    = "arrived"
	hookTranscript = "transcript"
	hookSafe       = "safe"
	hookFailed     = "failed"
)

var hookEvents = []string{hookAdded, hookArrived, hookTranscript, hookSafe, hookFailed}

// The names of the hooks, as the index and users know them.
const (
	hookWebhook = "webhook"
	hookCommand = "command"
)

const (
	defaultCommandTimeout = 10 * time.Minute
	maxCommandTimeout     = 24 * time.Hour
)

// HookConfig says who is told of events. The zero value tells nobody.
type HookConfig struct {
	URL            string        // of a webhook; empty: none
	SecretFile     string        // signs the webhook's requests; empty: they are not signed
	Command        []string      // a program and its arguments; empty: none
	CommandTimeout time.Duration // of one run; 0: 10 minutes
	Events         []string      // to tell of; none: DefaultHookEvents
	Safe           int           // how many trusted peers must hold a video that is safe; 0: 1
}

// DefaultHookEvents are the events that hooks hear of if nothing else is said.
func DefaultHookEvents() []string { return slices.Clone(hookEvents[1:]) }

// CheckHookURL finds what is wrong with the URL of a webhook.
func CheckHookURL(text string) error { return hook.CheckURL(text) }

// CheckHookTimeout finds what is wrong with the time limit of a command.
func CheckHookTimeout(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 90s or 10m", text)
	}
	if d < time.Second || d > maxCommandTimeout {
		return fmt.Errorf("%v is not between 1s and 24h", d)
	}
	return nil
}

// sender tries once to tell a receiver. Its errors are *hook.Failure, or ctx's.
type sender interface {
	Send(ctx context.Context, m hook.Message) error
	Close()
	String() string // what people may be shown
}

// hookRules is a HookConfig that was understood.
type hookRules struct {
	events  map[string]bool // empty if there is no hook
	safe    int
	senders map[string]sender // by the name of the hook
}

// parse reads the secret only for a daemon: nobody else sends.
func (c HookConfig) parse(version string, serve bool) (r hookRules, err error) {
	r = hookRules{events: map[string]bool{}, senders: map[string]sender{}, safe: max(c.Safe, 1)}
	wanted := c.Events
	if len(wanted) == 0 {
		wanted = DefaultHookEvents()
	}
	for _, e := range wanted {
		if !slices.Contains(hookEvents, e) {
			return r, api.Errorf(api.CodeUsage, "hooks.events: no event is named %q; there are %s", e, strings.Join(hookEvents, ", "))
		}
	}
	err = errors.Join(c.parseWebhook(r, version, serve), c.parseCommand(r))
	if err != nil {
		return r, api.Errorf(api.CodeUsage, "%w", err)
	}
	for _, e := range wanted {
		if len(r.senders) > 0 {
			r.events[e] = true
		}
	}
	return r, nil
}

func (c HookConfig) parseWebhook(r hookRules, version string, serve bool) error {
	if c.URL == "" && c.SecretFile == "" {
		return nil
	}
	if c.URL == "" {
		return errors.New("hooks.secret-file: there is no hooks.url whose requests it could sign; set it, too")
	}
	if err := hook.CheckURL(c.URL); err != nil {
		return fmt.Errorf("hooks.url: %w", err)
	}
	var secret []byte
	if c.SecretFile != "" && serve {
		var err error
		if secret, err = hook.ReadSecret(c.SecretFile); err != nil {
			return fmt.Errorf("hooks.secret-file: %w", err)
		}
	}
	w, err := hook.NewWebhook(c.URL, secret, "vidsync/"+version)
	r.senders[hookWebhook] = w
	return err
}

func (c HookConfig) parseCommand(r hookRules) error {
	if len(c.Command) == 0 {
		return nil
	}
	timeout := c.CommandTimeout
	if timeout <= 0 {
		timeout = defaultCommandTimeout
	}
	command, err := hook.NewCommand(c.Command, timeout)
	if err != nil {
		return fmt.Errorf("hooks.command: %w", err)
	}
	r.senders[hookCommand] = command
	return nil
}
