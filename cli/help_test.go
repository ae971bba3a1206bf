package cli_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/cli"
)

var flagLine = regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+).*$`)

// TestHelp: every command explains itself with examples, and says of every flag
// which variable sets it.
func TestHelp(t *testing.T) {
	for _, command := range []string{
		"add", "cat", "completion", "config show", "daemon", "doctor", "fetch", "follow", "follow ls", "gc", "id", "info", "jobs", "limit", "ls",
		"peer add", "peer ls", "peer rm", "receipts", "rm", "status", "ticket", "transcribe", "transcript", "unfollow", "verify", "version",
	} {
		o := run(t, cli.Nodes{}, nil, append(strings.Fields(command), "--help")...)
		if o.code != 0 || o.stderr != "" || !strings.Contains(o.stdout, "Examples:") {
			t.Errorf("%s: got %+v, want help with examples", command, o)
		}
		flags := flagLine.FindAllStringSubmatch(o.stdout, -1)
		if len(flags) < 9 {
			t.Errorf("%s: only %d flags in its help", command, len(flags))
		}
		for _, flag := range flags {
			name := "(env VIDSYNC_" + strings.ToUpper(strings.ReplaceAll(flag[1], "-", "_")) + ")"
			if flag[1] != "help" && strings.Count(flag[0], name) != 1 {
				t.Errorf("%s: %q is not once in %q", command, name, flag[0])
			}
		}
	}
}

func TestHelpTopic(t *testing.T) {
	o := run(t, cli.Nodes{}, nil, "help", "exit-codes")
	for _, want := range []string{"  11  the home is in use", " 130  interrupted", "exit_error"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("%q is not in %s", want, o.stdout)
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if o := run(t, cli.Nodes{}, nil, "completion", shell); o.code != 0 || !strings.Contains(o.stdout, "vidsync") {
			t.Errorf("%s: exit code %d, %d bytes", shell, o.code, len(o.stdout))
		}
	}
	o := run(t, cli.Nodes{Daemon: newFakeNode()}, nil, "__complete", "info", "bafyreib")
	if !strings.HasPrefix(o.stdout, cidB+"\t") || strings.Contains(o.stdout, cidA) || strings.Contains(o.stdout, "\x1b") {
		t.Errorf("completed %q, want only %s", o.stdout, cidB)
	}
}
