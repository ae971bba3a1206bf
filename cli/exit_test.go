package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/cli"
)

func TestExitCode(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		args string
		want int
	}{
		{"done", nil, "gc", 0},
		{"other", errors.New("boom"), "gc", 1},
		{"wrapped", fmt.Errorf("gc: %w", &api.Error{Code: api.CodeCorrupt}), "gc", 6},
		{"usage of the node", api.Errorf(api.CodeUsage, "not a ticket"), "fetch garbage", 2},
		{"partly", api.Errorf(api.CodePartly, "x"), "gc", 3},
		{"not found", api.Errorf(api.CodeNotFound, "x"), "info ref", 4},
		{"unavailable", api.Errorf(api.CodeUnavailable, "x"), "fetch ref", 5},
		{"no daemon", api.Errorf(api.CodeNoDaemon, "x"), "gc", 7},
		{"no space", api.Errorf(api.CodeNoSpace, "x"), "fetch ref", 8},
		{"no space of the system", fmt.Errorf("write: %w", syscall.ENOSPC), "gc", 8},
		{"in use", api.Errorf(api.CodeInUse, "x"), "gc", 11},
		{"refused", api.Errorf(api.CodeRefused, "x"), "fetch ref", 12},
		{"no command", nil, "", 0},
		{"unknown command", nil, "ad", 2},
		{"unknown subcommand", nil, "peer lss", 2},
		{"group alone", nil, "peer", 0},
		{"unknown flag", nil, "add --coppy x", 2},
		{"unknown short flag", nil, "add -Z x", 2},
		{"flag without value", nil, "fetch -o", 2},
		{"missing argument", nil, "fetch", 2},
		{"empty argument", nil, "fetch EMPTY", 2},
		{"extra argument", nil, "gc x", 2},
		{"bad duration", nil, "fetch --timeout abc ref", 2},
		{"negative duration", nil, "fetch --timeout -5s ref", 2},
		{"bad bytes", nil, "cat --offset x ref", 2},
		{"revoke and expire", nil, "ticket --revoke --expires 7d x", 2},
		{"bad rate", nil, "limit --up 10Mbit", 2},
		{"low rate", nil, "limit --down 1K", 2},
		{"bad schedule", nil, "limit --schedule 25:00,2M", 2},
		{"bad bool", nil, "rm --files=maybe x", 2},
		{"bad progress", nil, "--progress fancy ls", 2},
		{"bad format", nil, "transcript --format doc ref", 2},
		{"bad shell", nil, "completion tcsh", 2},
		{"name for many", nil, "add --name n a b", 2},
		{"unknown help", nil, "help nothing", 2},
		{"help", nil, "help peer add", 0},
		{"help flag", nil, "fetch --help", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			node := newFakeNode()
			node.err = test.err
			args := strings.Fields(test.args)
			for i := range args {
				args[i] = strings.TrimPrefix(args[i], "EMPTY")
			}
			o := run(t, cli.Nodes{Daemon: node}, nil, args...)
			if o.code != test.want {
				t.Errorf("exit code %d, want %d; %s", o.code, test.want, o.stderr)
			}
			if failed := o.code != 0; failed != strings.HasPrefix(o.stderr, "vidsync: ") {
				t.Errorf("exit code %d with this on stderr: %q", o.code, o.stderr)
			}
			if o.code != 0 && o.stdout != "" {
				t.Errorf("failure with this on stdout: %q", o.stdout)
			}
			checkExitError(t, node, args, test.want)
		})
	}
}

// checkExitError runs a command that fails once more, with --json.
func checkExitError(t *testing.T, node *fakeNode, args []string, code int) {
	t.Helper()
	if code == 0 {
		return
	}
	o := run(t, cli.Nodes{Daemon: node}, []string{"VIDSYNC_JSON=true"}, args...)
	var last struct {
		MessageType string `json:"message_type"`
		Code        int    `json:"code"`
		Message     string `json:"message"`
	}
	if err := json.Unmarshal([]byte(o.stderr), &last); err != nil {
		t.Fatalf("stderr with --json: %v: %q", err, o.stderr)
	}
	if last.MessageType != "exit_error" || last.Code != code || o.code != code || last.Message == "" && node.err == nil {
		t.Errorf("got %+v and exit code %d, want exit_error %d", last, o.code, code)
	}
}

func TestUsageHint(t *testing.T) {
	o := run(t, cli.Nodes{}, nil, "add")
	if want := "vidsync: add needs at least one PATH\nsee 'vidsync add --help'\n"; o.stderr != want {
		t.Errorf("got %q, want %q", o.stderr, want)
	}
	o = run(t, cli.Nodes{}, nil, "fetch", "--timeot", "5s", "ref")
	if want := `unknown flag --timeot; did you mean "--timeout"?`; !strings.Contains(o.stderr, want) {
		t.Errorf("got %q, want %q in it", o.stderr, want)
	}
}

// TestAddNothing checks the code where no input could be added.
func TestAddNothing(t *testing.T) {
	gone := api.Failure{Path: "/a", Code: api.CodeNotFound, Error: "gone"}
	closed := api.Failure{Path: "/b", Code: api.CodeRefused, Error: "closed"}
	for _, test := range []struct {
		name   string
		failed []api.Failure
		want   int
	}{
		{"one", []api.Failure{gone}, 4},
		{"alike", []api.Failure{gone, gone}, 4},
		{"different", []api.Failure{gone, closed}, 1},
		{"empty folder", nil, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			node := newFakeNode()
			node.add = api.AddResult{Failed: test.failed}
			o := run(t, cli.Nodes{Daemon: node}, nil, "add", "a")
			if o.code != test.want || o.stdout != "" || strings.Count(o.stderr, "vidsync: ") != len(test.failed)+1 {
				t.Errorf("got %+v, want exit code %d and each failure on stderr", o, test.want)
			}
		})
	}
}

func TestTranscribeStates(t *testing.T) {
	for state, want := range map[string]int{
		"done": 0, "queued": 0, "no_audio": 0, "failed": 1, "engine_missing": 1, "unreadable": 1, "unsupported_language": 1,
	} {
		node := newFakeNode()
		node.transcript = api.Transcript{State: state, Message: "why"}
		o := run(t, cli.Nodes{Daemon: node}, nil, "transcribe", "ref")
		if o.code != want || (state != "done") != strings.Contains(o.stderr, "transcript") {
			t.Errorf("%s: got %+v, want exit code %d", state, o, want)
		}
	}
}

// TestFetchTranscriptStates: a video that can have no transcript is fetched well.
func TestFetchTranscriptStates(t *testing.T) {
	for state, want := range map[string]int{
		"done": 0, "queued": 0, "no_audio": 0, "engine_missing": 0, "unreadable": 0, "unsupported_language": 0, "failed": 3,
	} {
		node := newFakeNode()
		node.fetch.Transcript.State = state
		if o := run(t, cli.Nodes{Daemon: node}, nil, "fetch", "ref"); o.code != want || o.stdout != "/v/talk.mp4\n" {
			t.Errorf("%s: got %+v, want exit code %d and the path", state, o, want)
		}
	}
}

// TestSignal sends a real signal to a fetch.
func TestSignal(t *testing.T) {
	for _, test := range []struct {
		name   string
		signal syscall.Signal
		remote bool
		args   string
		code   int
		stderr string
	}{
		{"interrupt", syscall.SIGINT, false, "fetch ref", 130, "what has arrived is kept; the same command goes on from there\nvidsync: interrupted\n"},
		{"daemon goes on", syscall.SIGINT, true, "fetch ref", 130, "the daemon goes on with this fetch; see 'vidsync jobs'\nvidsync: interrupted\n"},
		{"terminate", syscall.SIGTERM, false, "fetch -q ref", 143, "vidsync: terminated\n"},
		{"json", syscall.SIGTERM, false, "fetch --json ref", 143, `{"message_type":"exit_error","code":143,"message":"terminated"}` + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			node := newFakeNode()
			node.wait = func(ctx context.Context) error {
				if err := syscall.Kill(os.Getpid(), test.signal); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			}
			nodes := cli.Nodes{Engine: &fakeEngine{fakeNode: node}}
			if test.remote {
				nodes.Daemon = node
			}
			o := run(t, nodes, nil, strings.Fields(test.args)...)
			if o.code != test.code || o.stderr != test.stderr || o.stdout != "" {
				t.Errorf("got %+v, want exit code %d and %q", o, test.code, test.stderr)
			}
		})
	}
}

// TestDaemonStops: being told to stop is no failure of the daemon.
func TestDaemonStops(t *testing.T) {
	e := &stoppingEngine{fakeEngine{fakeNode: newFakeNode()}}
	o := run(t, cli.Nodes{Engine: e}, nil, "daemon")
	if o != (outcome{}) || e.closed.Load() != 1 {
		t.Errorf("got %+v, closed %d times; want exit code 0 and closed once", o, e.closed.Load())
	}
}

// stoppingEngine sends the process SIGTERM once it runs.
type stoppingEngine struct{ fakeEngine }

func (e *stoppingEngine) Run(ctx context.Context) error {
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		return err
	}
	return e.fakeEngine.Run(ctx)
}

// TestNodeChoice checks which node a command takes and what it does with an
// engine of its own.
func TestNodeChoice(t *testing.T) {
	for _, test := range []struct {
		args   string
		runs   int32
		code   int
		closed int32
	}{
		{"ls", 0, 0, 1},
		{"add x", 0, 0, 1},
		{"gc", 0, 0, 1},
		{"verify ref", 0, 0, 1},
		{"verify --repair ref", 1, 0, 1},
		{"fetch ref", 1, 0, 1},
		{"cat ref", 1, 0, 1},
		{"id", 1, 0, 1},
		{"ticket ref", 1, 0, 1},
		{"peer ls", 1, 0, 1},
		{"fetch --detach ref", 0, 7, 0},
		{"status --watch", 0, 7, 0},
	} {
		t.Run(test.args, func(t *testing.T) {
			e := &fakeEngine{fakeNode: newFakeNode()}
			o := run(t, cli.Nodes{Engine: e}, nil, strings.Fields(test.args)...)
			if o.code != test.code || e.running.Load() != test.runs || e.closed.Load() != test.closed {
				t.Errorf("exit code %d, ran %d and closed %d times; want %d, %d, %d; %s",
					o.code, e.running.Load(), e.closed.Load(), test.code, test.runs, test.closed, o.stderr)
			}
		})
	}
}

// TestEngineFails: a command does not wait for a network that cannot come.
func TestEngineFails(t *testing.T) {
	node := newFakeNode()
	node.wait = func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	e := &fakeEngine{fakeNode: node, runErr: api.Errorf(api.CodeOther, "port is taken")}
	o := run(t, cli.Nodes{Engine: e}, nil, "fetch", "ref")
	if o.code != 1 || o.stderr != "vidsync: port is taken\n" || e.closed.Load() != 1 {
		t.Errorf("got %+v, want the engine's error", o)
	}
}

// TestSecondDaemon: a daemon that answers is not waited for.
func TestSecondDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		o := run(t, cli.Nodes{Daemon: newFakeNode()}, nil, "daemon")
		if o.code != 11 || !strings.Contains(o.stderr, "already runs") || time.Since(begin) > 0 {
			t.Errorf("got %+v after %v, want exit code 11 at once", o, time.Since(begin))
		}
	})
}

// shortEngine has done everything at once.
type shortEngine struct{ fakeEngine }

func (e *shortEngine) Run(context.Context) error { return nil }

// TestHomeInUse: a home that is held for a moment is waited for, one that stays
// held is not.
func TestHomeInUse(t *testing.T) {
	inUse := api.Errorf(api.CodeInUse, "home is in use")
	for _, test := range []struct {
		name  string
		held  time.Duration
		args  string
		code  int
		waits bool
	}{
		{"moment", time.Second, "ls", 0, true},
		{"longer", time.Hour, "ls", 11, true},
		{"daemon after a moment", time.Second, "daemon", 0, true},
		{"daemon after longer", time.Hour, "daemon", 11, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				open := func() error {
					if time.Since(begin) < test.held {
						return inUse
					}
					return nil
				}
				e := &shortEngine{fakeEngine{fakeNode: newFakeNode()}}
				o := run(t, cli.Nodes{Engine: e, OpenErr: open}, nil, test.args)
				if waited := time.Since(begin) > 0; o.code != test.code || waited != test.waits {
					t.Errorf("exit code %d after %v, want %d", o.code, time.Since(begin), test.code)
				}
			})
		})
	}
}
