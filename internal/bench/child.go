package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// childWord is the first argument of this program when it is to be a part of a
// case in a process of its own.
const childWord = "part"

// children are the parts, by the second argument. Each prints a line once it
// is ready and ends with ctx.
var children = map[string]func(ctx context.Context, args []string, out io.Writer) error{
	"stream": streamPart,
	"https":  httpsPart,
	"sender": senderPart,
	"drain":  drainPart,
	"proxy":  proxyPart,
	"liar":   liarPart,
}

// runChild is main of a part. It ends when standard input does, that is at the
// latest when the program that started it is gone.
func runChild(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if len(args) == 0 || children[args[0]] == nil {
		fmt.Fprintln(os.Stderr, "bench: no such part:", args)
		return 2
	}
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := children[args[0]](ctx, args[1:], os.Stdout); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}
