package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// envName is the environment variable of a flag.
func envName(flag string) string {
	return "VIDSYNC_" + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(flag))
}

// documentEnv adds to the help of every flag which variable sets it.
func documentEnv(cmd *cobra.Command) {
	document := func(f *pflag.Flag) { f.Usage += " (env " + envName(f.Name) + ")" }
	cmd.LocalFlags().VisitAll(document)
	for _, c := range cmd.Commands() {
		documentEnv(c)
	}
}

// flagsFromEnv sets the flags of cmd that the command line did not from the
// environment. An empty variable counts as not set.
func (a *app) flagsFromEnv(cmd *cobra.Command) (err error) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		text := a.env[envName(f.Name)]
		if f.Changed || text == "" || f.Name == "help" || err != nil {
			return
		}
		a.fromEnv[f.Name] = true
		err = setFromEnv(cmd.Flags(), f, text)
	})
	return err
}

func setFromEnv(flags *pflag.FlagSet, f *pflag.Flag, text string) error {
	values := []string{text}
	if f.Value.Type() == "stringArray" {
		values = splitList(text)
	}
	for _, value := range values {
		if err := flags.Set(f.Name, value); err != nil {
			return usagef("%s=%s: %v", envName(f.Name), text, causeOf(err))
		}
	}
	return nil
}

// splitList splits a list as it stands in an environment variable: at commas
// and spaces.
func splitList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
