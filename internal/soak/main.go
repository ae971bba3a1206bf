// Command soak hides how vidsync is broken to see that it holds: real daemons,
// killed at random moments and system calls, one round after another, with the
// rules that must hold after every restart and at the end of every round.
//
// The same seed makes the same videos and the same plan; the moments themselves
// are the machine's. Beside the rounds there are trials, which need a minute and
// more each: an edge in the field where everything fails, and a server that
// follows many edges. It ends at the first rule that was violated and keeps what
// is needed to look into it. `make soak` builds vidsync and runs it. All of what
// it starts is ended again, on ^C too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/vidsync/vidsync/internal/rig"
)

func main() {
	rig.Main("soak", run)
}

// options are what the command line says.
type options struct {
	vidsync string
	dir     string
	rounds  int
	first   int
	seed    uint64
	only    string
	largest int // 10^6 bytes
	chaos   time.Duration
	files   int
	edges   int
	live    bool
}

// smallest is the least size of the videos, in 10^6 bytes, unless the largest
// is less than ten times that.
const smallest = 30

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.vidsync, "vidsync", filepath.Join("bin", "vidsync"), "the program to break")
	flags.StringVar(&o.dir, "dir", "", "work in a new folder in `DIR`; else in the system's temporary folder")
	flags.IntVar(&o.rounds, "rounds", 200, "how many")
	flags.IntVar(&o.first, "first", 1, "the `number` of the first round, to do one of an earlier run again")
	flags.Uint64Var(&o.seed, "seed", 0, "what is done is drawn from this `number`; 0: a new one")
	flags.StringVar(&o.only, "only", "", "rounds of this `kind` alone: "+kindNames()+"; or a trial, which has nodes of its own: "+trialNames())
	flags.IntVar(&o.largest, "largest", 300, "size of the largest videos, in `MB`")
	flags.DurationVar(&o.chaos, "chaos", time.Minute, "how long the trial field breaks things")
	flags.IntVar(&o.files, "files", 25, "how many files the trial field records")
	flags.BoolVar(&o.live, "live", true, "the trial field records half of its files into a folder that is watched live")
	flags.IntVar(&o.edges, "edges", 10, "how many edges the trial edges has")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if trialNamed(o.only) != nil && !isGiven(flags, "rounds") {
		o.rounds = 1
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().Unix())
	}
	return o, o.check(flags.Args())
}

// isGiven tells whether a flag was on the command line.
func isGiven(flags *flag.FlagSet, name string) (given bool) {
	flags.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

// check tells what is wrong with the options.
func (o options) check(words []string) error {
	switch {
	case len(words) > 0:
		return fmt.Errorf("unexpected argument %q", words[0])
	case o.rounds < 1 || o.first < 1:
		return errors.New("-rounds, -first: want at least 1")
	case o.largest < 10 || o.largest > 10_000:
		return errors.New("-largest: want 10 to 10000")
	case o.only != "" && kindNamed(o.only) == nil && trialNamed(o.only) == nil:
		return fmt.Errorf("-only: no kind %q, there are: %s, %s", o.only, kindNames(), trialNames())
	case o.chaos < time.Second || o.chaos > 24*time.Hour:
		return errors.New("-chaos: want 1s to 24h")
	case o.files < 1 || o.files > 10_000:
		return errors.New("-files: want 1 to 10000")
	case o.edges < 1 || o.edges > 200:
		return errors.New("-edges: want 1 to 200")
	}
	return nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	s, err := newSoak(o, stdout, stderr)
	if err != nil {
		return err
	}
	err = s.run(ctx)
	s.stopNodes()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w\n%s", err, s.evidence())
	}
	return errors.Join(err, s.remove())
}
