// Package cli hides the command line: it turns words into calls of an api.Node
// and results into words.
//
// Run is the whole program. Every command is one file named for it. A command
// asks withNode for a node and gets the running daemon or, if there is none, an
// engine inside its own process; it cannot tell which. Standard output carries
// the answer and nothing else. Progress, hints and logs go to standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

// Run executes one command line and returns the exit code. args has no program
// name; env holds KEY=VALUE pairs and is the only environment that is read for
// settings. It returns when the command is done, ctx has ended it, or SIGINT or
// SIGTERM has; a second signal ends the process at once.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env []string) int {
	a := newApp(stdin, stdout, stderr, env)
	a.nodes = localNodes{}
	return a.run(ctx, args)
}

// app is one run of the program.
type app struct {
	stdin   io.Reader
	stdout  io.Writer
	stderr  *console
	env     map[string]string
	nodes   nodes
	system  systemPlaces
	screen  func(io.Writer) screen // what a stream is connected to
	global  globalFlags
	fromEnv map[string]bool // names of the flags that the environment set
	command *cobra.Command  // the one that runs; nil until the command line is understood
}

// globalFlags are the flags of every command.
type globalFlags struct {
	home, config        string
	quiet, json         bool
	noColor             bool
	verbose             int
	progress            progressMode
	logLevel, logFormat string
}

func newApp(stdin io.Reader, stdout, stderr io.Writer, env []string) *app {
	a := &app{
		stdin: stdin, stdout: stdout, stderr: &console{w: stderr},
		env:     make(map[string]string, len(env)),
		system:  systemPlaces{config: "/etc/vidsync", state: "/var/lib/vidsync", runtime: "/run/vidsync"},
		screen:  screenOf,
		fromEnv: map[string]bool{},
	}
	for _, pair := range env {
		if key, value, ok := strings.Cut(pair, "="); ok {
			a.env[key] = value
		}
	}
	return a
}

func (a *app) run(ctx context.Context, args []string) int {
	ctx, stop := withSignals(ctx, a.noteInterrupt)
	defer stop()
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if a.command == nil {
		a.global.json = a.wantsJSON(args)
		err = asUsage(err)
	}
	return a.fail(ctx, cmd, err)
}

// noteInterrupt tells who sits before the terminal that the first signal has
// been heard.
func (a *app) noteInterrupt() {
	if a.screen(a.stderr).terminal && !a.global.quiet && !a.global.json {
		fmt.Fprintln(a.stderr, "stopping; a second interrupt quits at once")
	}
}

// asUsage makes an error of the command line's parser a usageError.
func asUsage(err error) error {
	if _, ok := errors.AsType[*usageError](err); ok {
		return err
	}
	return &usageError{message: err.Error()}
}

// start is called once the command line is parsed, before the command runs.
func (a *app) start(cmd *cobra.Command, _ []string) error {
	if err := a.flagsFromEnv(cmd); err != nil {
		return err
	}
	a.command = cmd
	return nil
}

// partly is the error of a command that did n of the total things asked for.
func partly(n, total int, what string) error {
	return api.Errorf(api.CodePartly, "%d of %d %s", n, total, what)
}
