package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is the program's version. A release sets it when linking, with
// -ldflags "-X github.com/vidsync/vidsync/cli.Version=v1.2.3".
var Version string

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print the version",
		Long:    "Prints the version of vidsync, and what it was built with and for.",
		Example: `  vidsync version --json`,
		Args:    takes(0, 0, ""),
		RunE:    func(*cobra.Command, []string) error { return a.runVersion() },
	}
}

// build says what this program is.
type build struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func (a *app) runVersion() error {
	b := build{Version: version(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	return a.answer("version", b, b.Version, fmt.Sprintf("vidsync %s (%s, %s/%s)", b.Version, b.Go, b.OS, b.Arch))
}

// version is Version or, in a build without it, what the Go tool knows.
func version() string {
	if Version != "" {
		return Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
