package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	groupVideos = "videos"
	groupPeers  = "peers"
	groupNode   = "node"
)

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "vidsync",
		Short: "bring very large videos whole to other machines",
		Long: `vidsync brings very large videos whole to other machines, over links that
drop, from several sources at once, and turns them into transcripts.

A video is named by its CID, which follows from its bytes. 'vidsync add' offers
a file under its CID, 'vidsync ticket' makes a line to paste on another machine,
and 'vidsync fetch' brings the video there. Commands talk to the daemon if one
runs, and do the work themselves if not.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: a.start,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              groupArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	a.addGlobalFlags(root.PersistentFlags())
	root.AddGroup(
		&cobra.Group{ID: groupVideos, Title: "Videos:"},
		&cobra.Group{ID: groupPeers, Title: "Peers:"},
		&cobra.Group{ID: groupNode, Title: "This node:"})
	addCommands(root, groupVideos, newAdd(a), newFetch(a), newTicket(a), newLs(a), newInfo(a), newCat(a),
		newVerify(a), newRm(a), newWatch(a), newTranscribe(a), newTranscript(a), newReceipts(a))
	addCommands(root, groupPeers, newID(a), newInvite(a), newJoin(a), newPeer(a), newFollow(a), newUnfollow(a))
	addCommands(root, groupNode, newDaemon(a), newStatus(a), newJobs(a), newLimit(a), newGC(a), newDoctor(a), newConfig(a), newVersion(a))
	root.SetHelpCommand(newHelp())
	root.AddCommand(newCompletion(a), newExitCodes())
	documentEnv(root)
	return root
}

func addCommands(root *cobra.Command, group string, cmds ...*cobra.Command) {
	for _, cmd := range cmds {
		cmd.GroupID = group
	}
	root.AddCommand(cmds...)
}

func (a *app) addGlobalFlags(flags *pflag.FlagSet) {
	g := &a.global
	g.progress = progressAuto
	flags.StringVar(&g.home, "home", "", "keep everything in this `folder`")
	flags.StringVar(&g.config, "config", "", "read this configuration `file`")
	flags.BoolVarP(&g.quiet, "quiet", "q", false, "print only the bare answer")
	flags.BoolVar(&g.json, "json", false, "print one JSON object a line")
	flags.Var(&g.progress, "progress", "how to show progress: auto, plain, json or off")
	flags.CountVarP(&g.verbose, "verbose", "v", "log more; twice for still more")
	flags.BoolVar(&g.noColor, "no-color", false, "use no colour (so does NO_COLOR)")
	flags.StringVar(&g.logLevel, "log-level", "", "least `level` to log: debug, info, warn or error")
	flags.StringVar(&g.logFormat, "log-format", "", "log `format`: text or json")
}

// flagError makes a mistake with a flag a sentence.
func flagError(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usagef("--%s: %v", e.GetFlag().Name, flagCause(e))
	}
	e, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || e.GetSpecifiedShortnames() != "" {
		return usagef("%v", err)
	}
	var names []string
	collect := func(f *pflag.Flag) { names = append(names, f.Name) }
	cmd.Flags().VisitAll(collect)
	return usagef("unknown flag --%s%s", e.GetSpecifiedName(), didYouMean("--", e.GetSpecifiedName(), names))
}

// flagCause says what is wrong with a flag's value. The standard kinds only
// name the function that could not parse it.
func flagCause(e *pflag.InvalidValueError) error {
	switch e.GetFlag().Value.Type() {
	case "bool":
		return fmt.Errorf("%q is neither true nor false", e.GetValue())
	case "count":
		return fmt.Errorf("%q is not a number", e.GetValue())
	}
	return e.Unwrap()
}

// groupArgs refuses an argument where the name of a command is expected.
func groupArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	what := strings.TrimSpace(subcommand(cmd) + " command")
	return usagef("unknown %s %q%s", what, args[0], didYouMean("", args[0], names))
}

// subcommand is the command's path without the program's name.
func subcommand(cmd *cobra.Command) string {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	return path
}

// takes accepts between min and max arguments; what names them in messages. A
// max below 0 is no limit.
func takes(min, max int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < min {
			return usagef("%s needs %s", subcommand(cmd), what)
		}
		if max >= 0 && len(args) > max {
			if what == "" {
				return usagef("%s takes no arguments, but got %q", subcommand(cmd), args[max])
			}
			return usagef("%s takes only %s; %q is too much", subcommand(cmd), what, args[max])
		}
		for _, arg := range args {
			if arg == "" {
				return usagef("%s: an argument is empty", subcommand(cmd))
			}
		}
		return nil
	}
}
