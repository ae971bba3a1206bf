package transcribe

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	// lingerLimit bounds how long a program's own children may hold its output
	// open after it has ended or was killed.
	lingerLimit = 2 * time.Second
	// stderrLimit is how much of the end of a program's stderr is kept.
	stderrLimit = 2 << 10
	// lineLimit is the longest line accepted from a program.
	lineLimit = 64 << 10
)

var (
	errTimeLimit   = errors.New("time limit reached")
	errOutputLimit = errors.New("output is too long")
)

// program is one run of another program: no shell, no stdin, a process group of
// its own, low priority, a time limit.
type program struct {
	name   string // name in PATH, or path
	args   []string
	dir    string
	limit  time.Duration
	stdout io.Writer   // nil: discarded; a Write error ends the program
	stderr *tailWriter // nil: goes into the error only
}

// run starts the program and blocks until it is gone. It returns ctx's error when
// ctx ended, the stdout writer's error when that failed, errTimeLimit, or an
// exitError. The thread stays locked because on Linux the kernel's "kill the child
// when its parent dies" means the thread that started it.
func (p program) run(ctx context.Context) error {
	limited, cancelLimit := context.WithTimeoutCause(ctx, p.limit, errTimeLimit)
	defer cancelLimit()
	inner, cancel := context.WithCancelCause(limited)
	defer cancel(nil)

	tail := cmp.Or(p.stderr, &tailWriter{})
	cmd := exec.CommandContext(inner, p.name, p.args...)
	cmd.Dir = p.dir
	cmd.Stderr = tail
	if p.stdout != nil {
		cmd.Stdout = stopWriter{to: p.stdout, stop: cancel}
	}
	cmd.WaitDelay = lingerLimit
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	isolate(cmd)

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return &startError{program: p.name, err: err}
	}
	lowerPriority(cmd.Process.Pid)
	err := cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) {
		_ = killGroup(cmd.Process.Pid) // only children that outlived it can be left
	}
	return p.verdict(ctx, inner, err, tail)
}

func (p program) verdict(outer, inner context.Context, err error, tail *tailWriter) error {
	switch {
	case outer.Err() != nil:
		return outer.Err()
	case context.Cause(inner) != nil:
		return fmt.Errorf("%s: %w", filepath.Base(p.name), context.Cause(inner))
	case err != nil:
		return &exitError{program: filepath.Base(p.name), stderr: tail.String(), err: err}
	}
	return nil
}

// exitError says that a program ran and ended badly.
type exitError struct {
	program string
	stderr  string // its end, at most stderrLimit bytes
	err     error
}

func (e *exitError) Error() string {
	if last := lastLine(e.stderr); last != "" {
		return fmt.Sprintf("%s: %v: %s", e.program, e.err, last)
	}
	return fmt.Sprintf("%s: %v", e.program, e.err)
}

func (e *exitError) Unwrap() error { return e.err }

// startError says that a program could not be started.
type startError struct {
	program string
	err     error
}

func (e *startError) Error() string { return fmt.Sprintf("start %s: %v", e.program, e.err) }

func (e *startError) Unwrap() error { return e.err }

// notInstalled reports whether a program could not be started because it is not there.
func notInstalled(err error) bool {
	s, ok := errors.AsType[*startError](err)
	return ok && (errors.Is(s, exec.ErrNotFound) || errors.Is(s, fs.ErrNotExist) || errors.Is(s, fs.ErrPermission))
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return cleanText(s[strings.LastIndexByte(s, '\n')+1:])
}

// stopWriter ends the program when its output is refused.
type stopWriter struct {
	to   io.Writer
	stop context.CancelCauseFunc
}

func (w stopWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	if err != nil {
		w.stop(err)
	}
	return n, err
}

// tailWriter keeps the last stderrLimit bytes written to it.
type tailWriter struct{ kept []byte }

func (w *tailWriter) Write(p []byte) (int, error) {
	w.kept = append(w.kept, p[max(0, len(p)-stderrLimit):]...)
	w.kept = w.kept[max(0, len(w.kept)-stderrLimit):]
	return len(p), nil
}

func (w *tailWriter) String() string { return string(w.kept) }

// boundedBuffer takes at most limit bytes and refuses more.
type boundedBuffer struct {
	bytes.Buffer
	limit int
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.limit {
		return 0, errOutputLimit
	}
	return b.Buffer.Write(p)
}

// lineWriter hands each whole line, without its end, to line.
type lineWriter struct {
	line func(string) error
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		head, tail, whole := bytes.Cut(rest, []byte("\n"))
		if len(w.rest)+len(head) > lineLimit {
			return 0, errOutputLimit
		}
		w.rest = append(w.rest, head...)
		if whole {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
		rest = tail
	}
	return len(p), nil
}

// flush hands over what is left as the last line.
func (w *lineWriter) flush() error {
	text := string(bytes.TrimSuffix(w.rest, []byte("\r")))
	w.rest = w.rest[:0]
	return w.line(text)
}
