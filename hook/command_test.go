package hook_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/hook"
)

func shell(t *testing.T, script string, timeout time.Duration) *hook.Command {
	t.Helper()
	c, err := hook.NewCommand([]string{"sh", "-c", script, "hook"}, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCommandInput: the body is on stdin, the variables in the environment, and
// nothing there of what configures vidsync.
func TestCommandInput(t *testing.T) {
	t.Setenv("VIDSYNC_TRANSCRIBE_OPENAI_KEY", "secret")
	t.Setenv("VIDSYNC_HOME", "/srv/home")
	out := filepath.Join(t.TempDir(), "out")
	t.Setenv("OUT", out)
	m := hook.Message{ID: "evt_1", Body: message.Body, Vars: []string{"VIDSYNC_EVENT=arrived", "VIDSYNC_EVENT_NAME=$(touch x) 'y\x00", "HUGE=" + strings.Repeat("x", 40<<10)}}
	script := `(cat; echo; env | grep -e ^VIDSYNC -e ^HUGE | sort; pwd) > "$OUT"`
	if err := shell(t, script, time.Minute).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	want := string(message.Body) + "\nVIDSYNC_EVENT=arrived\nVIDSYNC_EVENT_NAME=$(touch x) 'y?\nVIDSYNC_HOME=/srv/home\n/\n"
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

func TestCommandEnds(t *testing.T) {
	tests := []struct {
		name, script string
		timeout      time.Duration
		want         string
	}{
		{"done", "exit 0", time.Minute, ""},
		{"input not read", "exec <&-; exit 0", time.Minute, ""},
		{"left running", "sleep 1000 >/dev/null 2>&1 & echo $! > $OUT; exit 0", time.Minute, ""},
		{"failed", "echo first; echo 'why \033[1m' >&2; exit 3", time.Minute, "sh: exit status 3: why  [1m"},
		{"killed", "kill -9 $$", time.Minute, "sh: signal: killed"},
		{"much output", "head -c 1000000 /dev/zero; exit 1", time.Minute, "sh: exit status 1"},
		{"too long", "sleep 1000", 100 * time.Millisecond, "sh: time limit reached (100ms)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "pid")
			t.Setenv("OUT", out)
			err := shell(t, test.script, test.timeout).Send(t.Context(), message)
			if pid, err := os.ReadFile(out); err == nil {
				defer endProcess(t, strings.TrimSpace(string(pid)))
			}
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			f, ok := errors.AsType[*hook.Failure](err)
			if !ok || f.Unreachable || f.Gone || !strings.HasPrefix(f.Error(), test.want) {
				t.Errorf("%+v", err)
			}
		})
	}
}

// TestCommandGroup: the time limit ends what the command has started, too.
func TestCommandGroup(t *testing.T) {
	out := filepath.Join(t.TempDir(), "pid")
	t.Setenv("OUT", out)
	err := shell(t, "sleep 1000 & echo $! > $OUT; wait", time.Second).Send(t.Context(), message)
	if err == nil || !strings.Contains(err.Error(), "time limit") {
		t.Errorf("error %v", err)
	}
	pid, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(time.Minute); alive(strings.TrimSpace(string(pid))); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("its child lives")
		}
	}
}

func TestCommandContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := shell(t, "sleep 1000", time.Minute).Send(ctx, message); err == nil {
		t.Error("no error")
	}
	ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := shell(t, "sleep 1000", time.Minute).Send(ctx, message); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestCommandMissing(t *testing.T) {
	for _, program := range []string{"no-such-program", "/nowhere/program", t.TempDir()} {
		c, err := hook.NewCommand([]string{program}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		f, ok := errors.AsType[*hook.Failure](c.Send(t.Context(), message))
		if !ok || !f.Unreachable || c.Check() == nil {
			t.Errorf("%s: %+v, %v", program, f, c.Check())
		}
	}
}

func TestCheckCommand(t *testing.T) {
	for _, argv := range [][]string{nil, {""}, {"./tool"}, {"bin/tool"}, {"tool", "a\x00b"}} {
		if err := hook.CheckCommand(argv); err == nil {
			t.Errorf("%q is taken", argv)
		}
	}
}
