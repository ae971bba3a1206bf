package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vidsync/vidsync/internal/rig"
)

// A step is a kind of system call after which a disk is not as it was before.
type step struct {
	calls string // for strace; those with ? are not on every machine
	most  int    // a receiver is killed at one of the first so many of a thread
}

var steps = []step{
	{"fsync", 6}, {"fdatasync", 2}, {"?rename,?renameat,renameat2", 2}, {"pwrite64", 24},
	{"unlinkat", 3}, {"fallocate", 1}, {"ftruncate", 3},
}

const tracePatience = 25 * time.Second

// runSteps kills the receiver at system calls: when it begins the Nth of a kind.
func runSteps(ctx context.Context, r *round) error {
	if err := canTrace(ctx); err != nil {
		return err
	}
	if err := r.makeVideo(ctx, r.source); err != nil {
		return err
	}
	if err := r.fetchSlowed(ctx); err != nil {
		return err
	}
	for range 1 + r.rng.IntN(3) {
		if err := r.traced(ctx, pick(r.rng, steps...)); err != nil {
			return err
		}
	}
	if err := r.look(ctx); err != nil {
		return err
	}
	if err := r.receiver.start(ctx); err != nil {
		return err
	}
	if !r.stored {
		if err := r.submit(ctx); err != nil {
			return err
		}
	}
	if err := r.checkRestarted(ctx); err != nil {
		return err
	}
	return r.await(ctx)
}

// fetchSlowed makes ready for a fetch that strace slows down enough.
func (r *round) fetchSlowed(ctx context.Context) error {
	if err := r.receiver.start(ctx); err != nil {
		return err
	}
	if err := r.limit(ctx, ""); err != nil {
		return err
	}
	r.expect(r.receiver.home+"/videos", r.source)
	r.receiver.stop()
	return nil
}

// canTrace tries strace, as it is used here.
func canTrace(ctx context.Context) error {
	command := append(tracer("/dev/null", steps[0], 1000), "true")
	_, said, code, err := rig.Command(ctx, command[0], command[1:]...)
	if err != nil {
		return &leftOut{fmt.Sprintf("no strace: %v", err)}
	}
	if code != 0 {
		return &leftOut{"strace cannot trace here: " + strings.TrimSpace(said)}
	}
	return nil
}

// tracer is the command that a program is put behind to be killed at the nth
// call of a step. The program stays this one's child; strace is the grandchild
// and ends with it.
func tracer(log string, s step, n int) []string {
	return []string{"strace", "-D", "-f", "-qq", "-o", log, "-e", "trace=" + s.calls,
		"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", s.calls, n)}
}

// traced runs the receiver until it is killed at a step, or has the video
// without that, and ends it.
func (r *round) traced(ctx context.Context, s step) error {
	n := 1 + min(r.rng.IntN(s.most), r.rng.IntN(s.most))
	err := r.receiver.start(ctx, tracer(r.receiver.home+"/strace.log", s, n)...)
	if err == nil {
		err = r.awaitEnd(ctx)
	}
	killed := errors.Is(err, rig.ErrEnded) || r.receiver.daemon != nil && r.receiver.daemon.State() != nil
	if killed {
		r.kills++
		r.note("%s %d", strings.TrimLeft(strings.Split(s.calls, ",")[0], "?"), n)
		r.receiver.daemon, err = nil, nil
	}
	r.receiver.stop()
	if err != nil {
		return err
	}
	return r.checkFolder()
}

// awaitEnd waits until the receiver's daemon has ended or has the video. How it
// is asked for is no matter: an error is its end, or is met again.
func (r *round) awaitEnd(ctx context.Context) error {
	daemon := r.receiver.daemon
	if !r.stored {
		if err := r.submit(ctx); err != nil {
			r.stored = false
		}
	}
	_, err := until(ctx, tracePatience, func() (bool, error) {
		if daemon.State() != nil {
			return true, nil
		}
		_, whole, err := r.progress(ctx, r.receiver)
		if err != nil {
			return false, ctx.Err() // it ends just now
		}
		return whole, nil
	})
	return err
}
