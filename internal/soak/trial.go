package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A trial is a round with nodes of its own and with rules of its own. It is done
// when it is named, and never drawn. What it returns is printed.
type trial struct {
	name string
	run  func(ctx context.Context, s *soak, rng *rand.Rand) (line string, err error)
}

var trials = []trial{{"field", runField}, {"edges", runEdges}}

func trialNamed(name string) *trial {
	for i := range trials {
		if trials[i].name == name {
			return &trials[i]
		}
	}
	return nil
}

func trialNames() string {
	var names []string
	for _, t := range trials {
		names = append(names, t.name)
	}
	return strings.Join(names, ", ")
}

// doTrial does one trial and prints its line. One that cannot be done on this
// machine is left out, and that is said.
func (s *soak) doTrial(ctx context.Context, t trial) error {
	started := time.Now()
	s.diary.Info("trial", "number", s.n, "name", t.name)
	line, err := t.run(ctx, s, rand.New(rand.NewPCG(s.seed, uint64(s.n))))
	if why, ok := errors.AsType[*leftOut](err); ok {
		fmt.Fprintf(s.log, "soak: the trial %s is left out: %s\n", t.name, why.reason)
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("trial %d (%s): %w", s.n, t.name, s.explain(err))
	}
	s.stopNodes()
	s.nodes = nil
	if err := s.tidy(); err != nil {
		return err
	}
	s.tally.addTrial(t.name, time.Since(started))
	_, err = fmt.Fprintf(s.out, "%4d  %-8s %5.1f s  %s\n", s.n, t.name, time.Since(started).Seconds(), line)
	return err
}

// trialNode is a new node that transcribes nothing.
func (s *soak) trialNode(name string) (*node, error) {
	n, err := newNode(s, fmt.Sprintf("%s %d %s", s.only, s.n, name))
	if err != nil {
		return nil, err
	}
	s.nodes = append(s.nodes, n)
	return n, os.WriteFile(filepath.Join(n.home, "config.toml"), []byte("[transcribe]\nauto = false\n"), 0o600)
}
