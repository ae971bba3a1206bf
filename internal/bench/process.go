package main

import (
	"bufio"
	"context"
	"errors"
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

// process is one that this program started and ends again.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer // a child of this program ends when it is closed
	wait   sync.WaitGroup
	done   chan struct{} // closed when it has ended
	frozen bool          // stopped by SIGSTOP: it cannot end in order
}

// startProcess runs a program with its standard error in the file log.
// Standard output goes to stdout, which may be nil. The caller calls stop.
func startProcess(log string, stdout io.Writer, name string, args ...string) (*process, error) {
	errors, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer errors.Close()
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
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

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process, in order if it can, and returns when it is gone. It
// may be called again.
func (p *process) stop() {
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

// kill ends the process at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	p.wait.Wait()
}

// freeze stops the process where it is, for good.
func (p *process) freeze() error {
	p.frozen = true
	return p.cmd.Process.Signal(syscall.SIGSTOP)
}

// cpuAtEnd is the processor time of a process that has ended and of those it
// waited for, in seconds.
func (p *process) cpuAtEnd() float64 {
	s := p.cmd.ProcessState
	return (s.UserTime() + s.SystemTime()).Seconds()
}

// child is this program again, doing a part of a case.
type child struct {
	*process
	lines *bufio.Reader
	out   io.Closer
}

// startChild starts a part and returns its first line of output once it is
// ready. prefix is put before the command: a namespace, or nothing. The caller
// calls end.
func (b *bench) startChild(ctx context.Context, prefix []string, args ...string) (c *child, ready string, err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	command := append(append([]string{}, prefix...), b.self, childWord)
	command = append(command, args...)
	p, err := startProcess(b.dir+"/"+args[0]+".log", write, command[0], command[1:]...)
	err = errors.Join(err, write.Close())
	if err != nil {
		return nil, "", errors.Join(err, read.Close())
	}
	c = &child{process: p, lines: bufio.NewReader(read), out: read}
	ready, err = c.line(ctx)
	if err != nil {
		c.end()
		return nil, "", fmt.Errorf("part %s: %w: %s", args[0], err, tail(b.dir+"/"+args[0]+".log"))
	}
	return c, ready, nil
}

// line reads the next line of the child's output.
func (c *child) line(ctx context.Context) (string, error) {
	stop := context.AfterFunc(ctx, c.kill)
	defer stop()
	line, err := c.lines.ReadString('\n')
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return strings.TrimSpace(line), err
}

func (c *child) end() {
	c.stop()
	_ = c.out.Close()
}

// tail is the end of a log, for an error message.
func tail(path string) string {
	const keep = 1000
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(data[max(0, len(data)-keep):]))
}
