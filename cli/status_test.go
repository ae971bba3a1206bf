package cli_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vidsync/vidsync/cli"
)

// TestStatusWatch: the status comes once a second until the command is ended.
func TestStatusWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		o := invoke(t, ctx, cli.Invocation{Args: []string{"--json", "status", "--watch"}, Nodes: cli.Nodes{Daemon: newFakeNode()}})
		if n := strings.Count(o.stdout, `{"message_type":"status",`); n != 4 || o.code == 0 {
			t.Errorf("%d times in 3.5 s, exit code %d; want 4 times, and an end that is no success", n, o.code)
		}
	})
}
