package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completeTimeout bounds how long the Tab key may ask the daemon.
const completeTimeout = time.Second

func newCompletion(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "print a completion script for a shell",
		Long:  "Prints a script that completes vidsync's commands, flags and videos with the Tab\nkey. SHELL is bash, zsh, fish or powershell.",
		Example: `  vidsync completion bash > /etc/bash_completion.d/vidsync
  vidsync completion zsh > "${fpath[1]}/_vidsync"
  vidsync completion fish > ~/.config/fish/completions/vidsync.fish`,
		Args:      takes(1, 1, "one SHELL: "+strings.Join(shells, ", ")),
		ValidArgs: shells,
		RunE:      func(cmd *cobra.Command, args []string) error { return a.runCompletion(cmd.Root(), args[0]) },
	}
}

func (a *app) runCompletion(root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(a.stdout, true)
	case "zsh":
		return root.GenZshCompletion(a.stdout)
	case "fish":
		return root.GenFishCompletion(a.stdout, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(a.stdout)
	}
	return usagef("completion: there is none for %q, only for bash, zsh, fish and powershell", shell)
}

// completeVideos completes a video's CID, with its name as explanation, if a
// daemon runs. No engine is started for the Tab key.
func (a *app) completeVideos(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	const nothing = cobra.ShellCompDirectiveNoFileComp
	p, err := a.paths()
	if err != nil {
		return nil, nothing
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	node := a.dialAny(ctx, p)
	if node == nil {
		return nil, nothing
	}
	var found []string
	for v, err := range node.Videos(ctx) {
		if err != nil {
			return nil, nothing
		}
		if strings.HasPrefix(v.CID, begun) {
			found = append(found, v.CID+"\t"+clean(v.Name))
		}
	}
	return found, nothing
}
