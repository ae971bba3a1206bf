package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A benchCase is one thing that is measured once in every round.
type benchCase struct {
	name, about string
	run         func(ctx context.Context, b *bench) ([]figure, error)
}

// A figure is one number that a case found.
type figure struct {
	name  string
	unit  string
	value float64
}

// cases are in the order in which a round runs them: the limits just before
// what is held against them.
var cases = []benchCase{
	{"stream", "limit: a libp2p stream (TCP, TLS, yamux) between two processes, bytes discarded", runStream},
	{"tuned", "limit: the same over connections as vidsync sets them up", runTuned},
	{"hash", "limit: BLAKE3 over memory on all cores", runHash},
	{"read", "limit: a file read on all cores, from the page cache", runRead},
	{"write", "limit: a file written past the page cache, and fdatasync", runWrite},
	{"loopback", "vidsync: one source and one fetcher on loopback; add, fetch, cat, memory", runLoopback},
	{"https", "baseline: four parallel HTTPS PUTs of 32 MiB with SHA-256", runHTTPS},
	{"rsync", "baseline: rsync's daemon, unencrypted", runRsync},
	{"resume", "vidsync: fetcher killed at 90 %, until it transfers again", runResume},
	{"start", "vidsync: start of a daemon with 100,000 blocks in its index", runStart},
	{"sparse", "vidsync: add of a sparse file of 2 TiB", runSparse},
	{"drop", "vidsync: a file dropped into a watched folder, at a follower on loopback", runDrop},
	{"live", "vidsync: a recording of 16 MiB/s, fetched by a follower while it grows", runLive},
	{"four", "vidsync: 4 sources of 100 Mbit/s", runFour},
	{"unequal", "vidsync: sources of 100, 50, 10 and 1 Mbit/s", runUnequal},
	{"killed", "vidsync: one of two sources of 100 Mbit/s killed half-way", runKilled},
	{"stopped", "vidsync: one of two sources of 100 Mbit/s stopped (SIGSTOP) half-way", runStopped},
	{"liar", "vidsync: one of three sources sends wrong bytes in every tenth piece", runLiar},
	{"far", "vidsync: one source, 200 Mbit/s, 100 ms round trip", runFar},
	{"lossy", "vidsync: as far, with 0.01 % of packets lost", runLossy},
	{"swarm", "vidsync: 8 fetchers of one source of 100 Mbit/s", runSwarm},
}

// skipped says why a case cannot run on this machine.
type skipped struct{ reason string }

func (s *skipped) Error() string { return s.reason }

func skip(format string, args ...any) error { return &skipped{fmt.Sprintf(format, args...)} }

// bench is what all cases of one run share.
type bench struct {
	options
	self string // this program, to start parts of it as processes
	log  io.Writer
	made map[string]string // files that several cases use, by what they hold
}

func newBench(o options, log io.Writer) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if o.vidsync, err = filepath.Abs(o.vidsync); err != nil {
		return nil, err
	}
	if _, err := os.Stat(o.vidsync); err != nil {
		return nil, fmt.Errorf("no vidsync to measure: %w; run make build, or name it with -vidsync", err)
	}
	if o.dir, err = os.MkdirTemp(o.dir, "vidsync-bench-"); err != nil {
		return nil, err
	}
	return &bench{options: o, self: self, log: log, made: map[string]string{}}, nil
}

// close removes everything on disk.
func (b *bench) close() error { return os.RemoveAll(b.dir) }

// scratch makes a new folder. Its user calls remove when it is done with it.
func (b *bench) scratch(name string) (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp(b.dir, name+"-")
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(b.log, "bench:", err)
		}
	}, err
}

// scaled is a size for the cases with several hosts, in whole MiB.
func (b *bench) scaled(size int64) int64 {
	return max(mib, int64(float64(size)*b.scale)/mib*mib)
}

// rounds runs all cases in turn, again and again, so that what disturbs the
// machine for a while disturbs all of them. A case that cannot run is noted
// and not tried again; one that fails ends the run. What was measured until
// then is returned with the error.
func (b *bench) rounds(ctx context.Context, picked []benchCase, runs int) (*results, error) {
	r := newResults()
	for i := range runs {
		round := map[key]float64{}
		for _, c := range picked {
			if r.skipped[c.name] != "" {
				continue
			}
			fmt.Fprintf(b.log, "round %d of %d: %s", i+1, runs, c.name)
			started := time.Now()
			figures, err := c.run(ctx, b)
			fmt.Fprintf(b.log, " (%.1f s)\n", time.Since(started).Seconds())
			if s, ok := errors.AsType[*skipped](err); ok {
				fmt.Fprintf(b.log, "bench: %s is not run: %s\n", c.name, s.reason)
				r.skip(c.name, s.reason)
				continue
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return r, fmt.Errorf("%s: %w", c.name, err)
			}
			r.add(c.name, figures, round)
		}
		r.addRatios(round)
	}
	return r, nil
}

// machine describes what the figures were measured on.
func (b *bench) machine() []string {
	facts := hostFacts()
	return append(facts, fmt.Sprintf("loopback cases move %d MiB; cases with several hosts are scaled by %g", b.size/mib, b.scale))
}
