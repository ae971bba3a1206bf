package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

// usageError is a mistake in the command line or in the configuration.
type usageError struct {
	message string
	noHint  bool // the message says all; the command's help would not
}

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// exitCode maps an error to the code that the process ends with. This is the
// only place that does.
func exitCode(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	if i := interruptOf(ctx); i != nil {
		return i.exitCode()
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return int(api.CodeUsage)
	}
	if errors.Is(err, syscall.ENOSPC) {
		return int(api.CodeNoSpace)
	}
	return int(api.CodeOf(err))
}

// exitError is the last line on standard error of a failure with --json.
type exitError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// fail reports err, which cmd gave, and returns the exit code.
func (a *app) fail(ctx context.Context, cmd *cobra.Command, err error) int {
	code := exitCode(ctx, err)
	message := cleanLines(err.Error())
	if i := interruptOf(ctx); i != nil {
		message = i.Error()
	}
	if a.global.json {
		a.printJSON(a.stderr, "exit_error", exitError{Code: code, Message: message})
		return code
	}
	fmt.Fprintf(a.stderr, "vidsync: %s\n", message)
	if u, ok := errors.AsType[*usageError](err); ok && !u.noHint {
		fmt.Fprintf(a.stderr, "see '%s --help'\n", cmd.CommandPath())
	}
	return code
}

// wantsJSON looks for --json where the command line could not be parsed.
func (a *app) wantsJSON(args []string) bool {
	env, err := strconv.ParseBool(a.env[envName("json")])
	return a.global.json || slices.Contains(args, "--json") || err == nil && env
}
