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

	"github.com/vidsync/vidsync/api"
)

const (
	wholePatience  = 4 * time.Minute // for a video, on a busy machine
	momentPatience = 10 * time.Second
	poll           = 10 * time.Millisecond
	stopTime       = 150 * time.Millisecond // about what a daemon takes to end in order

	least            = 16    // thousand bytes a second, of the limits that vidsync takes
	fastest, slowest = 5, 10 // seconds of a fetch; receipts come every 5
)

// round is one at work.
type round struct {
	*soak
	rng     *rand.Rand
	video   video
	request api.FetchRequest // what the receiver is asked for
	stored  bool             // the receiver said that it has the job
	folder  string           // where the video is to lie
	floor   int64            // bytes that the receipts covered when they were last looked at
	looked  bool             // just before the receiver's last start
	kills   int
	covered int64 // the most bytes that receipts covered at a start
	index   int64 // bytes on disk of the receiver's index, with the video
	notes   []string
}

// note is for the round's line and for the diary.
func (r *round) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.diary.Info(text)
	r.notes = append(r.notes, text)
}

// makeVideo writes the file and has every source add it.
func (r *round) makeVideo(ctx context.Context, sources ...*node) error {
	if err := r.video.write(); err != nil {
		return err
	}
	for _, n := range sources {
		if err := n.start(ctx); err != nil {
			return err
		}
		if err := r.add(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) add(ctx context.Context, n *node) error {
	cid, err := n.daemon.Add(ctx, r.video.path)
	if err != nil {
		return err
	}
	if r.video.cid != "" && r.video.cid != cid {
		return violated("the same bytes are the same video", "%s was %s and is %s", r.video.path, r.video.cid, cid)
	}
	r.video.cid = cid
	n.diary.Info("added", "cid", cid)
	return nil
}

// fetch has the receiver fetch from sources.
func (r *round) fetch(ctx context.Context, sources ...*node) error {
	if err := r.receiver.start(ctx); err != nil {
		return err
	}
	if err := r.pace(ctx); err != nil {
		return err
	}
	r.expect(filepath.Join(r.receiver.home, "videos"), sources...)
	return r.submit(ctx)
}

// expect makes up what the receiver is asked for.
func (r *round) expect(folder string, sources ...*node) {
	r.folder = folder
	r.request = api.FetchRequest{Ref: r.video.cid, NoTranscribe: true, Detach: true}
	for _, n := range sources {
		r.request.Peers = append(r.request.Peers, n.addr)
	}
}

// submit asks the receiver.
func (r *round) submit(ctx context.Context) error {
	_, err := r.receiver.api().Fetch(ctx, r.request, nil)
	r.stored = err == nil
	r.diary.Info("fetch", "peers", r.request.Peers, "error", err)
	return err
}

// pace limits the receiver's rate in every third round, so that there is
// something to break for some seconds and receipts cover a part.
func (r *round) pace(ctx context.Context) error {
	down := ""
	if r.rng.IntN(3) == 0 {
		seconds := fastest + r.rng.Int64N(slowest-fastest)
		down = fmt.Sprintf("%dK", max(least, r.video.size/seconds/1000))
	}
	return r.limit(ctx, down)
}

func (r *round) limit(ctx context.Context, down string) error {
	if down == r.down {
		return nil
	}
	req := api.LimitRequest{Reset: true}
	if down != "" {
		req.Down = &down
	}
	if _, err := r.receiver.api().Limit(ctx, req); err != nil {
		return err
	}
	r.down = down
	return nil
}

// moment waits for a random one of the receiver's fetch.
func (r *round) moment(ctx context.Context) error {
	if r.rng.IntN(4) == 0 {
		return sleep(ctx, r.upTo(time.Second))
	}
	share := min(1, 1.25*r.rng.Float64()) // one in five is the end
	start, done, whole := int64(-1), int64(0), false
	_, err := until(ctx, momentPatience, func() (_ bool, err error) {
		done, whole, err = r.progress(ctx, r.receiver)
		if start < 0 {
			start = done
		}
		return whole || float64(done-start) >= share*float64(r.video.size-start), err
	})
	r.diary.Info("moment", "done", done, "whole", whole)
	return err
}

// progress is what a node says that it has of the video.
func (r *round) progress(ctx context.Context, n *node) (done int64, whole bool, err error) {
	jobs, err := n.api().Jobs(ctx)
	if err != nil {
		return 0, false, err
	}
	for _, j := range jobs {
		if j.Kind != "fetch" || j.CID != r.video.cid {
			continue
		}
		if j.State == "done" {
			return r.video.size, true, nil
		}
		if j.Progress != nil {
			done = j.Progress.Done
		}
	}
	return done, false, nil
}

// crash kills daemons and starts them again, and looks at the rules in between
// and afterwards.
func (r *round) crash(ctx context.Context, victims ...*node) error {
	r.kill(victims...)
	if err := r.checkFolder(); err != nil {
		return err
	}
	if r.rng.IntN(2) == 0 {
		if err := sleep(ctx, r.upTo(700*time.Millisecond)); err != nil {
			return err
		}
	}
	if r.receiver.daemon == nil {
		if err := r.look(ctx); err != nil {
			return err
		}
	}
	for _, n := range victims {
		if err := n.start(ctx); err != nil {
			return err
		}
	}
	return r.checkRestarted(ctx)
}

func (r *round) kill(victims ...*node) {
	for _, n := range victims {
		r.kills++
		if r.rng.IntN(4) == 0 {
			n.killStopping(r.upTo(stopTime))
		} else {
			n.kill()
		}
	}
}

// await waits until the receiver says that the video is whole: beside the
// fetch, or as one who asks for it too.
func (r *round) await(ctx context.Context) error {
	if r.rng.IntN(2) == 0 {
		if err := r.join(ctx); err != nil {
			return err
		}
	}
	if err := r.awaitWhole(ctx, r.receiver); err != nil {
		return err
	}
	return r.checkReceived(ctx)
}

func (r *round) awaitWhole(ctx context.Context, n *node) error {
	ok, err := until(ctx, wholePatience, func() (bool, error) {
		_, whole, err := r.progress(ctx, n)
		return whole, err
	})
	if err == nil && !ok {
		jobs, _ := n.api().Jobs(ctx)
		err = violated("a fetch goes on by itself", "the %s has not got the video after %v; jobs: %+v", n.name, wholePatience, jobs)
	}
	return err
}

// join asks for the video once more and holds what the fetch says of itself
// against what was on disk before. Detached, it never fails for good: an
// attempt that does ends the call, and nothing else.
func (r *round) join(ctx context.Context) error {
	req := r.request
	req.Detach = false
	short, cancel := context.WithTimeout(ctx, wholePatience)
	defer cancel()
	result, err := r.receiver.api().Fetch(short, req, nil)
	if code := api.CodeOf(err); err != nil && (code == api.CodeUnavailable || short.Err() != nil) {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return r.checkResult(result)
}

// line is what is printed of a round.
func (r *round) line(kind string, took time.Duration) string {
	return fmt.Sprintf("%4d  %-8s %4d MB %-9s %2d kills  receipts %3d MB  index %4d kB  %5.1f s  %s",
		r.n, kind, r.video.size/mb, r.video.style, r.kills, r.covered/mb, r.index/1000, took.Seconds(), strings.Join(r.notes, ", "))
}

// upTo is a random time.
func (r *round) upTo(most time.Duration) time.Duration {
	return time.Duration(r.rng.Int64N(int64(most)))
}

// pick is one of some, at random.
func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// until asks until the answer is yes, or no patience is left.
func until(ctx context.Context, patience time.Duration, ask func() (bool, error)) (bool, error) {
	for deadline := time.Now().Add(patience); ; {
		ok, err := ask()
		if ok || err != nil || time.Now().After(deadline) {
			return ok, err
		}
		if err := sleep(ctx, poll); err != nil {
			return false, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// removeSource deletes the video's file.
func (r *round) removeSource() error {
	err := os.Remove(r.video.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
