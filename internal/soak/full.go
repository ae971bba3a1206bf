package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vidsync/vidsync/api"
)

const (
	spare         = 96 * mb // beside the video: the reserve that vidsync keeps, and some
	fullPatience  = 60 * time.Second
	freedPatience = 2 * time.Minute // it looks for room every 30 s
)

// runFull fetches onto a file system without room, waits until the fetch says
// so, makes room, and does no more.
func runFull(ctx context.Context, r *round) error {
	small := filepath.Join(r.dir, "small")
	unmount, err := mountSmall(small, r.video.size+spare)
	if err != nil {
		return err
	}
	r.undo = append(r.undo, unmount)
	ballast := filepath.Join(small, "ballast")
	if err := os.WriteFile(ballast, make([]byte, spare+mb), 0o600); err != nil {
		return err
	}
	if err := r.makeVideo(ctx, r.source); err != nil {
		return err
	}
	if err := r.fetchInto(ctx, filepath.Join(small, "videos"), r.source); err != nil {
		return err
	}
	if err := r.awaitNoSpace(ctx); err != nil {
		return err
	}
	if r.rng.IntN(2) == 0 {
		if err := r.crash(ctx, r.receiver); err != nil {
			return err
		}
		if err := r.awaitNoSpace(ctx); err != nil {
			return err
		}
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	return r.awaitWhole(ctx, r.receiver)
}

// fetchInto has the receiver fetch into a folder, which it makes.
func (r *round) fetchInto(ctx context.Context, folder string, source *node) error {
	if err := r.receiver.start(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	r.expect(folder, source)
	r.request.Output = folder
	return r.submit(ctx)
}

// awaitNoSpace waits until the fetch says, wherever one may look, that it waits
// for room.
func (r *round) awaitNoSpace(ctx context.Context) error {
	var status api.Status
	ok, err := until(ctx, fullPatience, func() (bool, error) {
		jobs, err := r.receiver.api().Jobs(ctx)
		if err != nil || !r.waitsForSpace(jobs) {
			return false, err
		}
		status, err = r.receiver.api().Status(ctx)
		return r.waitsForSpace(status.Jobs), err
	})
	if err == nil && !ok {
		err = violated("a fetch without room waits and says so", "%+v", status.Jobs)
	}
	return err
}

func (r *round) waitsForSpace(jobs []api.Job) bool {
	for _, j := range jobs {
		if j.CID == r.video.cid && j.State == "waiting" && strings.Contains(j.Message, "space") {
			return true
		}
	}
	return false
}
