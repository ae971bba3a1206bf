package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newConfig(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "show the configuration",
		Long:  "Settings come from flags, the environment, the user's file, the system's file and\ndefaults, in this order. Files are TOML. The keys:\n\n" + keyHelp(),
		Args:  groupArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "show",
		Short: "print every setting and where it comes from",
		Long: `Prints the configuration that is in force: every key, its value and its origin (a
flag, an environment variable, a file or the default). Secrets are not printed.`,
		Example: `  vidsync config show
  vidsync config show --json`,
		Args: takes(0, 0, ""),
		RunE: func(*cobra.Command, []string) error { return a.runConfigShow() },
	})
	return cmd
}

// keyHelp lists the keys with their variables.
func keyHelp() string {
	var b strings.Builder
	for _, s := range schema {
		fmt.Fprintf(&b, "  %-30s %s (env %s)\n", s.key, s.usage, s.envName())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// shownSetting is a setting as config show prints it.
type shownSetting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Origin string `json:"origin"`
}

func (a *app) runConfigShow() error {
	p, err := a.paths()
	if err != nil {
		return err
	}
	all, err := a.settings(p)
	if err != nil {
		return err
	}
	var shown []shownSetting
	for _, s := range schema {
		v := all[s.key]
		if s.kind == secret && v.data != "" {
			v.data = "(set)"
		}
		shown = append(shown, shownSetting{s.key, v.data, v.origin})
	}
	columns := []column{{title: "key"}, {title: "value"}, {title: "origin"}}
	cells := func(s shownSetting) []string { return []string{s.Key, dash(s.text()), clean(s.Origin)} }
	return rows(a, "config", shown, func(s shownSetting) string { return s.Key + "=" + s.text() }, columns, cells)
}

// text is the value in one line.
func (s shownSetting) text() string {
	if list, ok := s.Value.([]string); ok {
		return strings.Join(list, " ")
	}
	return fmt.Sprint(s.Value)
}
