package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// soak is what all rounds share. The homes outlive the rounds, so that what one
// leaves behind is met by the next.
type soak struct {
	options
	out, log io.Writer // a line a round; what else there is to say
	n        int       // of the round at work, or of the last
	unable   map[string]bool
	tally    tally

	source, second, receiver, third *node
	nodes                           []*node
	down                            string // the receiver's limit; empty: none
	undo                            []func() error
	diary                           *slog.Logger // what was done when, for whoever looks into a violation
	closeDiary                      func() error
}

func newSoak(o options, out, log io.Writer) (*soak, error) {
	var err error
	if o.vidsync, err = filepath.Abs(o.vidsync); err != nil {
		return nil, err
	}
	if _, err := os.Stat(o.vidsync); err != nil {
		return nil, fmt.Errorf("no vidsync to break: %w; run make build, or name it with -vidsync", err)
	}
	if o.dir, err = os.MkdirTemp(o.dir, "vidsync-soak-"); err != nil {
		return nil, err
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return nil, err
	}
	diary, err := os.Create(filepath.Join(o.dir, "soak.log"))
	if err != nil {
		return nil, err
	}
	s := &soak{
		options: o, out: out, log: log, unable: map[string]bool{}, tally: newTally(),
		diary: slog.New(slog.NewTextHandler(diary, nil)), closeDiary: diary.Close,
	}
	for _, at := range []struct {
		name string
		node **node
	}{{"source", &s.source}, {"second", &s.second}, {"receiver", &s.receiver}, {"third", &s.third}} {
		if *at.node, err = newNode(s, at.name); err != nil {
			return nil, errors.Join(err, os.RemoveAll(o.dir))
		}
		s.nodes = append(s.nodes, *at.node)
	}
	return s, nil
}

// run does the rounds and prints the summary.
func (s *soak) run(ctx context.Context) error {
	fmt.Fprintf(s.out, "seed %d\n", s.seed)
	do, summary := s.doRound, s.tally.summary
	if t := trialNamed(s.only); t != nil {
		do = func(ctx context.Context) error { return s.doTrial(ctx, *t) }
		summary = s.tally.ofTrials
	}
	for s.n = s.first; s.n < s.first+s.rounds; s.n++ {
		if err := do(ctx); err != nil {
			return err
		}
	}
	_, err := io.WriteString(s.out, summary())
	return err
}

// doRound does one round and prints its line.
func (s *soak) doRound(ctx context.Context) error {
	started := time.Now()
	r, k := s.plan()
	s.diary.Info("round", "number", s.n, "kind", k.name, "size", r.video.size, "style", r.video.style)
	err := k.run(ctx, r)
	if why, ok := errors.AsType[*leftOut](err); ok {
		s.leaveOut(k, why)
		k = kinds[0]
		err = k.run(ctx, r)
	}
	if err == nil {
		err = r.end(ctx)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("round %d (%s): %w", s.n, k.name, s.explain(err))
	}
	s.tally.add(k.name, r, time.Since(started))
	_, err = fmt.Fprintln(s.out, r.line(k.name, time.Since(started)))
	return err
}

// leftOut says why a kind of rounds is not done on this machine.
type leftOut struct{ reason string }

func (l *leftOut) Error() string { return l.reason }

// leaveOut notes, and says once, that a kind is not done here. A round of the
// first kind takes the place of each.
func (s *soak) leaveOut(k kind, why *leftOut) {
	if !s.unable[k.name] {
		fmt.Fprintf(s.log, "soak: rounds of the kind %s are left out: %s\n", k.name, why.reason)
	}
	s.unable[k.name] = true
}

// explain adds to an error which daemons ended though nobody ended them.
func (s *soak) explain(err error) error {
	for _, n := range s.nodes {
		if died := n.died(); died != nil {
			err = errors.Join(err, died)
		}
	}
	return err
}

// evidence says where to look, and how to do the round again.
func (s *soak) evidence() string {
	text := fmt.Sprintf("seed %d, round %d; homes, videos and logs are kept in %s, what was done is in soak.log there", s.seed, s.n, s.dir)
	text += fmt.Sprintf("\nagain: go run ./internal/soak -vidsync %s -seed %d -first %d -rounds 1 -largest %d", s.vidsync, s.seed, s.n, s.largest)
	if s.only != "" {
		text += " -only " + s.only
	}
	if trialNamed(s.only) != nil {
		text += fmt.Sprintf(" -chaos %v -files %d -edges %d", s.chaos, s.files, s.edges)
	}
	if len(s.undo) > 0 {
		text += "\nwhat was mounted below it, or linked, still is"
	}
	return text
}

// stopNodes ends every daemon.
func (s *soak) stopNodes() {
	var ends sync.WaitGroup
	for _, n := range s.nodes {
		ends.Go(n.stop)
	}
	ends.Wait()
}

// tidy undoes what a round did outside the homes.
func (s *soak) tidy() error {
	var errs []error
	for _, undo := range s.undo {
		errs = append(errs, undo())
	}
	s.undo = nil
	return errors.Join(errs...)
}

// remove deletes everything on disk.
func (s *soak) remove() error {
	return errors.Join(s.tidy(), s.closeDiary(), os.RemoveAll(s.dir))
}
