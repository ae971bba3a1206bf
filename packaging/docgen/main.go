// Command docgen writes the files that packages carry beside the program: the
// manual page, the configuration file with every setting and its default, and
// the shells' completions.
//
// All of it comes out of the program's own words: it runs vidsync's commands in
// this process and reads their answers.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vidsync/vidsync/cli"
)

func main() {
	version := flag.String("version", "dev", "the program's version, as the manual page shows it")
	date := flag.String("date", "", "the manual page's date, YYYY-MM-DD")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: docgen [-version V] [-date D] FOLDER")
		os.Exit(2)
	}
	if err := write(flag.Arg(0), *version, *date); err != nil {
		fmt.Fprintf(os.Stderr, "docgen: %v\n", err)
		os.Exit(1)
	}
}

// write makes all files in dir.
func write(dir, version, date string) error {
	files := map[string]func() (string, error){
		"vidsync.1":    func() (string, error) { return manual(version, date) },
		"config.toml":  configFile,
		"vidsync.bash": func() (string, error) { return vidsync("completion", "bash") },
		"_vidsync":     func() (string, error) { return vidsync("completion", "zsh") },
		"vidsync.fish": func() (string, error) { return vidsync("completion", "fish") },
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		content, err := text()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// vidsync is what a command prints where the system's service runs.
func vidsync(args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	env := []string{
		"CONFIGURATION_DIRECTORY=/etc/vidsync",
		"STATE_DIRECTORY=/var/lib/vidsync",
		"RUNTIME_DIRECTORY=/run/vidsync",
	}
	if code := cli.Run(context.Background(), args, strings.NewReader(""), &stdout, &stderr, env); code != 0 {
		return "", fmt.Errorf("vidsync %s: exit code %d: %s", strings.Join(args, " "), code, stderr.String())
	}
	return stdout.String(), nil
}
