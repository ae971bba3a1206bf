package cli_test

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/vidsync/vidsync/cli"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // tables show local times
	testscript.Main(leakCheck{m}, map[string]func(){"vidsync": vidsync})
}

func vidsync() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// leakCheck fails the tests if a goroutine is left.
type leakCheck struct{ m *testing.M }

func (l leakCheck) Run() int {
	code := l.m.Run()
	// The signal package keeps one goroutine once it has been used. The others
	// end by themselves, on a busy machine later than goleak waits.
	find := func() error { return goleak.Find(goleak.IgnoreAnyFunction("os/signal.loop")) }
	err := find()
	for end := time.Now().Add(patience); code == 0 && err != nil && time.Now().Before(end); {
		err = find()
	}
	if err != nil && code == 0 {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return code
}

// outcome is what one run of the program gave.
type outcome struct {
	stdout, stderr string
	code           int
}

// run runs the program with nothing of this machine in its environment.
func run(t *testing.T, nodes cli.Nodes, env []string, args ...string) outcome {
	t.Helper()
	return invoke(t, t.Context(), cli.Invocation{Args: args, Env: env, Nodes: nodes})
}

func invoke(t *testing.T, ctx context.Context, i cli.Invocation) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	i.Stdout, i.Stderr = &stdout, &stderr
	if i.SystemConfig == "" {
		i.SystemConfig = "/nonexistent"
	}
	i.Env = append([]string{"VIDSYNC_HOME=" + t.TempDir(), "LANG=C.UTF-8"}, i.Env...)
	code := i.Run(ctx)
	return outcome{stdout.String(), stderr.String(), code}
}
