package main

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/vidsync/vidsync/cli"
)

// TestMain lets this binary be vidsync, as it is now, so that no other program
// need be built.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "--home" {
		os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
	}
	goleak.VerifyTestMain(m)
}
