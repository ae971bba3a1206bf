package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	// lingerLimit bounds how long a command's own children may hold its output
	// open after it has ended or was killed.
	lingerLimit = 2 * time.Second
	// outputTail is how much of the end of a command's output is kept, in bytes.
	outputTail = 2 << 10
	// maxVar is the longest variable that is handed on, in bytes.
	maxVar = 32 << 10
)

var errTimeLimit = errors.New("time limit reached")

// Command runs a program for each message, without a shell: the message on its
// standard input, in a process group of its own, which is killed when the time is
// over. It may be used by several goroutines at once.
type Command struct {
	argv    []string
	timeout time.Duration
}

// NewCommand makes a command of a program, by its absolute path or its name in
// PATH, and its arguments. The program need not be there yet.
func NewCommand(argv []string, timeout time.Duration) (*Command, error) {
	if err := CheckCommand(argv); err != nil {
		return nil, err
	}
	return &Command{argv: argv, timeout: timeout}, nil
}

// CheckCommand finds what is wrong with a program and its arguments.
func CheckCommand(argv []string) error {
	if len(argv) == 0 || argv[0] == "" {
		return errors.New("names no program")
	}
	if strings.Contains(argv[0], "/") && !filepath.IsAbs(argv[0]) {
		return fmt.Errorf("%q is a relative path; give an absolute one", argv[0])
	}
	if strings.Contains(strings.Join(argv, ""), "\x00") {
		return errors.New("has a zero byte in it")
	}
	return nil
}

// Close does nothing; a webhook has one.
func (c *Command) Close() {}

// String is the program.
func (c *Command) String() string { return c.argv[0] }

// Check tells why the program cannot be run now, or nil.
func (c *Command) Check() error {
	_, err := exec.LookPath(c.argv[0])
	return err
}

// Send runs the program once and waits for its end. Exit code 0 means that the
// message was taken. The error is a *Failure, or ctx's. The thread stays locked
// because on Linux "kill the child when its parent dies" means the thread that
// started it.
func (c *Command) Send(ctx context.Context, m Message) error {
	limited, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeLimit)
	defer cancel()
	tail := &tailWriter{}
	cmd := exec.CommandContext(limited, c.argv[0], c.argv[1:]...)
	cmd.Env = environment(os.Environ(), m.Vars)
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(m.Body)
	cmd.Stdout, cmd.Stderr = tail, tail
	cmd.WaitDelay = lingerLimit
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	isolate(cmd)

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return &Failure{Unreachable: true, Err: fmt.Errorf("start %s: %w", c, reason(err))}
	}
	err := cmd.Wait()
	if cmd.ProcessState.Success() {
		return nil // even if what it left running holds its output
	}
	_ = killGroup(cmd.Process.Pid) // what it left is not to run beside the next attempt
	return c.verdict(ctx, limited, err, tail)
}

func (c *Command) verdict(outer, limited context.Context, err error, tail *tailWriter) error {
	switch {
	case outer.Err() != nil:
		return outer.Err()
	case limited.Err() != nil:
		err = fmt.Errorf("%w (%v)", context.Cause(limited), c.timeout)
	}
	err = fmt.Errorf("%s: %w", filepath.Base(c.argv[0]), err)
	if said := told(tail.lastLine()); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return &Failure{Err: err}
}

// reason leaves out the path, which the caller names.
func reason(err error) error {
	if e, ok := errors.AsType[*exec.Error](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// environment is that of this process without its own settings, some of which are
// secrets, and with the variables of a message.
func environment(own, vars []string) []string {
	var env []string
	for _, v := range own {
		if !strings.HasPrefix(v, "VIDSYNC_") || strings.HasPrefix(v, "VIDSYNC_HOME=") {
			env = append(env, v)
		}
	}
	for _, v := range vars {
		if v = strings.ReplaceAll(v, "\x00", "?"); len(v) <= maxVar {
			env = append(env, v)
		}
	}
	return env
}

// killGroup kills a program and all it started that stayed in its process group.
func killGroup(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }

// tailWriter keeps the last outputTail bytes written to it.
type tailWriter struct{ kept []byte }

func (w *tailWriter) Write(p []byte) (int, error) {
	w.kept = append(w.kept, p[max(0, len(p)-outputTail):]...)
	w.kept = w.kept[max(0, len(w.kept)-outputTail):]
	return len(p), nil
}

func (w *tailWriter) lastLine() string {
	text := strings.TrimSpace(string(w.kept))
	return text[strings.LastIndexByte(text, '\n')+1:]
}
