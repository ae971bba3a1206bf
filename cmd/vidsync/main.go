// Command vidsync brings very large videos whole to other machines. See
// 'vidsync help' for its commands.
package main

import (
	"context"
	"os"

	"github.com/vidsync/vidsync/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}
