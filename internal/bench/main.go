// Command bench hides how vidsync's figures are come by: what this machine and
// its links can carry, what vidsync makes of it, and what other ways make of
// it, measured in turn in one run.
//
// It measures and judges nothing. `make bench` builds vidsync and runs it. It
// starts real vidsync processes and, for the cases with several hosts, network
// namespaces of its own; all of it is ended and removed again, on ^C too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/vidsync/vidsync/internal/rig"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == childWord {
		os.Exit(runChild(os.Args[2:]))
	}
	rig.Main("bench", run)
}

// options are what the command line says.
type options struct {
	vidsync string
	dir     string
	size    byteCount
	scale   float64
	runs    int
	only    string
	list    bool
	json    bool
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{size: 4 << 30}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.vidsync, "vidsync", filepath.Join("bin", "vidsync"), "the program to measure")
	flags.StringVar(&o.dir, "dir", "", "work in a new folder in `DIR`, on the disk to measure; else in the system's temporary folder")
	flags.Var(&o.size, "size", "`bytes` moved over loopback, with K, M or G")
	flags.Float64Var(&o.scale, "scale", 1, "`factor` for the sizes of the cases with several hosts, which take 20 to 40 s each at 1")
	flags.IntVar(&o.runs, "runs", 3, "rounds; the medians of their figures are printed")
	flags.StringVar(&o.only, "only", "", "run the cases whose name matches this `regexp`")
	flags.BoolVar(&o.list, "list", false, "list the cases and run none")
	flags.BoolVar(&o.json, "json", false, "print a JSON object a line instead of the table")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.runs < 1:
		return o, fmt.Errorf("-runs %d: want at least 1", o.runs)
	case o.size < mib:
		return o, errors.New("-size: want at least 1M")
	case o.scale <= 0:
		return o, fmt.Errorf("-scale %g: want more than 0", o.scale)
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	picked, err := pick(cases, o.only)
	if err != nil {
		return err
	}
	if o.list {
		return listCases(stdout, picked)
	}
	b, err := newBench(o, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	r, err := b.rounds(ctx, picked, o.runs)
	report := r.table
	if o.json {
		report = r.jsonLines
	}
	return errors.Join(err, report(stdout, b.machine()))
}

func pick(all []benchCase, only string) ([]benchCase, error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	var picked []benchCase
	for _, c := range all {
		if pattern.MatchString(c.name) {
			picked = append(picked, c)
		}
	}
	if len(picked) == 0 {
		return nil, fmt.Errorf("-only: no case matches %q; -list names them", only)
	}
	return picked, nil
}

func listCases(w io.Writer, all []benchCase) error {
	var lines strings.Builder
	for _, c := range all {
		fmt.Fprintf(&lines, "%-10s %s\n", c.name, c.about)
	}
	_, err := io.WriteString(w, lines.String())
	return err
}
