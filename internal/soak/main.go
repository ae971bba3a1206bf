// Command soak hides how vidsync is broken to see that it holds: real daemons,
// killed at random moments and system calls, one round after another, with the
// rules that must hold after every restart and at the end of every round.
//
// The same seed makes the same videos and the same plan; the moments themselves
// are the machine's. It ends at the first rule that was violated and keeps what
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
	flags.StringVar(&o.only, "only", "", "rounds of this `kind` alone: "+kindNames())
	flags.IntVar(&o.largest, "largest", 300, "size of the largest videos, in `MB`")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().Unix())
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.rounds < 1 || o.first < 1:
		return o, errors.New("-rounds, -first: want at least 1")
	case o.largest < 10 || o.largest > 10_000:
		return o, errors.New("-largest: want 10 to 10000")
	case o.only != "" && kindNamed(o.only) == nil:
		return o, fmt.Errorf("-only: no kind %q, there are: %s", o.only, kindNames())
	}
	return o, nil
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
