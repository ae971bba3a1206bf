package main

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/vidsync/vidsync/cli"
)

// TestMain lets this binary be a part of a case, as the program is, and also
// vidsync, so that no other program need be built.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == childWord:
		os.Exit(runChild(os.Args[2:]))
	case len(os.Args) > 1 && os.Args[1] == "--home":
		os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
	}
	// libp2p's bandwidth counters share one goroutine, which stays.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/libp2p/go-flow-metrics.(*sweeper).run"))
}
