package cli

import "github.com/spf13/cobra"

func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND or TOPIC]",
		Short: "explain a command or topic",
		Long:  "Explains a command or a topic, such as 'vidsync help exit-codes'.",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("there is no help about %q", args[len(args)-1])
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// newExitCodes is a topic of help: a command that cannot be run.
func newExitCodes() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "what the exit codes mean",
		Long: `Exit codes keep their meaning for ever; new ones may be added, so treat one that
you do not know as a failure.

    0  done
    1  other error
    2  usage: the command line or the configuration is wrong
    3  partly done
    4  not found: file, CID or peer
    5  not possible for now (no provider, --timeout); a retry may help
    6  content is wrong
    7  the daemon is needed and cannot be reached
    8  no space left
   11  the home is in use by another process
   12  refused: not trusted, or the ticket expired
  130  interrupted (SIGINT)
  143  terminated (SIGTERM)

With --json a failure ends with an object on standard error:
{"message_type":"exit_error","code":4,"message":"..."}`,
	}
}
