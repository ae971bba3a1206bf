package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// interrupted is the cause of a context that a signal ended.
type interrupted struct{ signal os.Signal }

func (i *interrupted) Error() string {
	if i.signal == syscall.SIGTERM {
		return "terminated"
	}
	return "interrupted"
}

// exitCode is what a shell reports for a process that the signal killed.
func (i *interrupted) exitCode() int {
	if s, ok := i.signal.(syscall.Signal); ok {
		return 128 + int(s)
	}
	return 1
}

// interruptOf is the signal that ended ctx, or nil.
func interruptOf(ctx context.Context) *interrupted {
	i, _ := errors.AsType[*interrupted](context.Cause(ctx))
	return i
}

// withSignals returns a context that the first SIGINT or SIGTERM ends. From
// then on signals have their usual effect, so that a second one kills the
// process at once; note is called to say so. stop gives the signals back and
// waits.
func withSignals(parent context.Context, note func()) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer signal.Stop(signals)
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(&interrupted{signal: s})
			note()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel(nil)
		wg.Wait()
	}
}
