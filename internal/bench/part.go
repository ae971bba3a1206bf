package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/vidsync/vidsync/internal/rig"
)

// child is this program again, doing a part of a case.
type child struct {
	*rig.Process
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
	log := b.dir + "/" + args[0] + ".log"
	p, err := rig.Start(log, write, command[0], command[1:]...)
	err = errors.Join(err, write.Close())
	if err != nil {
		return nil, "", errors.Join(err, read.Close())
	}
	c = &child{Process: p, lines: bufio.NewReader(read), out: read}
	ready, err = c.line(ctx)
	if err != nil {
		c.end()
		return nil, "", fmt.Errorf("part %s: %w: %s", args[0], err, rig.Tail(log))
	}
	return c, ready, nil
}

// line reads the next line of the child's output.
func (c *child) line(ctx context.Context) (string, error) {
	stop := context.AfterFunc(ctx, c.Kill)
	defer stop()
	line, err := c.lines.ReadString('\n')
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return strings.TrimSpace(line), err
}

func (c *child) end() {
	c.Stop()
	_ = c.out.Close()
}
