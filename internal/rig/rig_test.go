package rig_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vidsync/vidsync/internal/rig"
)

// TestMain makes this binary a daemon that never answers, or ends at once.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "--home" {
		os.Stderr.WriteString("last words\n")
		os.Exit(3)
	}
	goleak.VerifyTestMain(m)
}

func TestDaemonThatEnds(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	_, err = rig.StartNode(t.Context(), self, home, rig.Place{Listen: rig.Loopback})
	if !errors.Is(err, rig.ErrEnded) || !strings.Contains(err.Error(), "last words") {
		t.Errorf("%v, want its end and its last words", err)
	}
}

func TestProcess(t *testing.T) {
	for name, end := range map[string]struct {
		by   func(*rig.Process)
		want syscall.Signal
	}{
		"stop": {(*rig.Process).Stop, syscall.SIGTERM},
		"kill": {(*rig.Process).Kill, syscall.SIGKILL},
		"stop frozen": {func(p *rig.Process) {
			if err := p.Freeze(); err != nil && p.State() == nil {
				t.Error(err)
			}
			p.Stop()
		}, syscall.SIGKILL},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := rig.Start(filepath.Join(t.TempDir(), "log"), nil, "sleep", "60")
			if err != nil {
				t.Fatal(err)
			}
			if p.State() != nil {
				t.Fatal("it has ended")
			}
			end.by(p)
			end.by(p) // again
			<-p.Done()
			if got := p.State().Sys().(syscall.WaitStatus).Signal(); got != end.want {
				t.Errorf("ended by %v, want %v", got, end.want)
			}
			if p.CPU() < 0 {
				t.Error("it used less than no time")
			}
		})
	}
}

func TestCommand(t *testing.T) {
	t.Setenv("VIDSYNC_HOME", "/nowhere")
	out, errs, code, err := rig.Command(t.Context(), "sh", "-c", "echo out$VIDSYNC_HOME; echo err >&2; exit 5")
	if out != "out\n" || errs != "err\n" || code != 5 || err != nil {
		t.Errorf("%q, %q, %d, %v", out, errs, code, err)
	}
	if _, _, _, err := rig.Command(t.Context(), "sh", "-c", "kill -9 $$"); err == nil {
		t.Error("a signal was no error")
	}
	if _, _, _, err := rig.Command(t.Context(), filepath.Join(t.TempDir(), "nothing")); err == nil {
		t.Error("a program that is not there was no error")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, _, err := rig.Command(ctx, "sleep", "60"); err == nil {
		t.Error("it outlived its context")
	}
}
