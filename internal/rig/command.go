package rig

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"syscall"
)

// Command runs a program to its end and returns what it wrote and its exit
// code. It has no settings of vidsync in its environment. If ctx ends it is told
// to end, and killed after 15 s. The error says that it could not be run or that
// a signal ended it.
func Command(ctx context.Context, name string, args ...string) (stdout, stderr string, code int, err error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.SysProcAttr = cleanEnv(), apart()
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopPatience
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		code, err = exit.ExitCode(), nil
	}
	return out.String(), errs.String(), code, err
}
