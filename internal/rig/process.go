// Package rig hides vidsync daemons run as processes, for measuring and for
// breaking them.
//
// It starts a program with its log in a file, tells when a daemon answers, and
// ends what it started by its process ID: in order, or as a crash would.
package rig

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopPatience is how long a process may take to end in order.
const stopPatience = 15 * time.Second

// Process is one that this program started and ends again.
type Process struct {
	cmd    *exec.Cmd
	stdin  io.Closer // some processes end when it is closed
	wait   sync.WaitGroup
	done   chan struct{} // closed when it has ended
	frozen bool          // stopped by SIGSTOP: it cannot end in order
}

// Start runs a program with its standard error in the file log and without
// settings of vidsync in its environment. Standard output goes to stdout, which
// may be nil. The caller calls Stop or Kill.
func Start(log string, stdout io.Writer, name string, args ...string) (*Process, error) {
	errors, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer errors.Close()
	p := &Process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Env = cleanEnv()
	p.cmd.Stderr, p.cmd.Stdout = errors, stdout
	p.cmd.SysProcAttr = apart()
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.wait.Go(func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended is in ProcessState
	})
	return p, nil
}

// cleanEnv is the environment without settings of vidsync.
func cleanEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "VIDSYNC_") {
			env = append(env, v)
		}
	}
	return env
}

// PID is the process's ID. It may be another's once Done is closed.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// State is how the process ended; nil before Done is closed.
func (p *Process) State() *os.ProcessState {
	select {
	case <-p.done:
		return p.cmd.ProcessState
	default:
		return nil
	}
}

// Stop ends the process, in order if it can, and returns when it is gone: after
// 15 s at the latest it is killed. It may be called again.
func (p *Process) Stop() {
	_ = p.stdin.Close() // it may be gone already
	sig := syscall.SIGTERM
	if p.frozen {
		sig = syscall.SIGKILL
	}
	_ = p.cmd.Process.Signal(sig)
	kill := time.AfterFunc(stopPatience, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	p.wait.Wait()
}

// Kill ends the process at once, by SIGKILL, and returns when it is gone. It may
// be called again.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	p.wait.Wait()
}

// Freeze stops the process where it is, for good.
func (p *Process) Freeze() error {
	p.frozen = true
	return p.cmd.Process.Signal(syscall.SIGSTOP)
}

// CPU is the processor time in seconds of a process that has ended, and of
// those it waited for.
func (p *Process) CPU() float64 {
	s := p.cmd.ProcessState
	return (s.UserTime() + s.SystemTime()).Seconds()
}

// Tail is the end of a log, for an error message.
func Tail(path string) string {
	const keep = 1000
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(data[max(0, len(data)-keep):]))
}
