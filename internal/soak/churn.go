package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
)

// hashRate is about what add makes of a file, in bytes a second, so that the
// moment at which it is killed lies within it.
const hashRate = 700 * mb

// runChurn kills a source that adds, and then has the video removed here and
// there, and garbage collected, while it is fetched and served.
func runChurn(ctx context.Context, r *round) error {
	if err := r.video.write(); err != nil {
		return err
	}
	if err := r.addKilled(ctx); err != nil {
		return err
	}
	if err := r.fetch(ctx, r.source); err != nil {
		return err
	}
	for range 1 + r.rng.IntN(3) {
		if err := r.momentOfGC(ctx); err != nil {
			return err
		}
		disturb := pick(r.rng, r.removeFetched, r.removeServed, r.crashCollecting)
		if err := disturb(ctx); err != nil {
			return err
		}
	}
	return r.await(ctx)
}

// addKilled kills the source while it adds, once or twice, and has it add
// then. One time in three it makes a copy.
func (r *round) addKilled(ctx context.Context) error {
	req := api.AddRequest{Paths: []string{r.video.path}, Copy: r.rng.IntN(3) == 0}
	for range 1 + r.rng.IntN(2) {
		if err := r.source.start(ctx); err != nil {
			return err
		}
		most := 50*time.Millisecond + time.Duration(r.video.size*int64(time.Second)/hashRate)
		r.during(r.upTo(most), func(source *api.Client) {
			_, _ = source.Add(ctx, req, nil) // it is killed, as a rule
		}, r.source)
	}
	if err := r.source.start(ctx); err != nil {
		return err
	}
	if req.Copy {
		r.note("add --copy")
	}
	result, err := r.source.api().Add(ctx, req, nil)
	if err == nil && len(result.Added) != 1 {
		err = errors.New(result.Failed[0].Error)
	}
	if err != nil {
		return violated("add works again after a kill", "%v", err)
	}
	r.video.cid = result.Added[0].CID
	r.source.diary.Info("added", "cid", r.video.cid, "path", result.Added[0].Path)
	return r.checkCopies(ctx)
}

// checkCopies makes sure that the source knows of every copy that its folder
// has, those of adds that were killed included.
func (r *round) checkCopies(ctx context.Context) error {
	info, err := r.source.api().Info(ctx, r.video.cid)
	if err != nil {
		return err
	}
	copies, err := filepath.Glob(filepath.Join(r.source.home, "videos", "*"))
	for _, path := range copies {
		if !slices.Contains(info.Files, path) {
			return violated("a copy that nobody knows is not left behind", "%s, known are %v", path, info.Files)
		}
		if err := sameBytes(r.video.path, path); err != nil {
			return violated("a final name is a whole video's", "%v", err)
		}
	}
	return err
}

// during kills a node a while after it was asked for something.
func (r *round) during(after time.Duration, ask func(*api.Client), n *node) {
	client := n.api()
	var asked errgroup.Group
	asked.Go(func() error { ask(client); return nil })
	time.Sleep(after)
	r.kill(n)
	_ = asked.Wait() // returns nil
}

// momentOfGC is moment, with garbage collected at both ends meanwhile.
func (r *round) momentOfGC(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	collecting, enough := context.WithCancel(ctx)
	for _, n := range []*node{r.source, r.receiver} {
		g.Go(func() error {
			for sleep(collecting, 10*poll) == nil {
				if _, err := n.api().GC(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer enough()
		return r.moment(ctx)
	})
	return g.Wait()
}

// removeFetched removes the video from the receiver, whether it has all of it
// or not, and asks for it again.
func (r *round) removeFetched(ctx context.Context) error {
	files := r.rng.IntN(2) == 0
	r.note("rm at the receiver")
	if _, err := r.receiver.api().Remove(ctx, api.RemoveRequest{Ref: r.video.cid, Files: files}); err != nil {
		return err
	}
	r.stored, r.floor, r.looked = false, 0, false
	if err := r.checkForgotten(ctx, r.receiver); err != nil {
		return err
	}
	if err := r.checkRemoved(files); err != nil {
		return err
	}
	return r.submit(ctx)
}

// checkRemoved makes sure that no file is left of a video that was removed, but
// for a whole one if files are to stay.
func (r *round) checkRemoved(files bool) error {
	if files {
		return checkEmpty(r.folder)
	}
	parts, err := filepath.Glob(filepath.Join(r.folder, "*.part"))
	if len(parts) > 0 {
		return violated("rm leaves nothing behind", "%v", parts)
	}
	return errors.Join(err, r.checkFolder())
}

// removeServed removes the video from the source, and adds it again after a
// while.
func (r *round) removeServed(ctx context.Context) error {
	r.note("rm at the source")
	if _, err := r.source.api().Remove(ctx, api.RemoveRequest{Ref: r.video.cid}); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(r.source.home, "videos")); err != nil { // a copy that stayed
		return err
	}
	if err := sleep(ctx, r.upTo(2*time.Second)); err != nil {
		return err
	}
	return r.add(ctx, r.source)
}

// crashCollecting kills the receiver while it collects garbage.
func (r *round) crashCollecting(ctx context.Context) error {
	r.note("killed in gc")
	r.during(r.upTo(100*time.Millisecond), func(receiver *api.Client) {
		_, _ = receiver.GC(ctx) // it is killed, as a rule
	}, r.receiver)
	return r.crash(ctx, r.receiver)
}
