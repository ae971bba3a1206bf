package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vidsync/vidsync/api"
)

// deliver drops files at random moments, in a random order, and waits until all
// are at the server.
func (e *edges) deliver(ctx context.Context, drawn []*drop) error {
	order := e.rng.Perm(len(drawn))
	next := time.Now()
	for deadline := time.Now().Add(edgePatience); ; {
		if len(order) > 0 && time.Now().After(next) {
			i := order[0]
			order = order[1:]
			if err := drawn[i].make(e.all[i%len(e.all)].card); err != nil {
				return err
			}
			next = next.Add(time.Duration(e.rng.Int64N(int64(2 * dropPause))))
		}
		missing := e.lookForArrived(drawn)
		if missing == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return violated("everything arrives", "%d of %d files have not after %v", missing, len(drawn), edgePatience)
		}
		if err := sleep(ctx, 2*poll); err != nil {
			return err
		}
	}
}

// make writes the file.
func (d *drop) make(card string) error {
	path := d.in(card)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content(d.stream, d.size))
	d.at = time.Now()
	return errors.Join(err, f.Close())
}

// lookForArrived takes note of what has its final name at the server, and counts
// what has not.
func (e *edges) lookForArrived(drawn []*drop) (missing int) {
	for i, d := range drawn {
		if d.arrived.IsZero() && !d.at.IsZero() {
			if _, err := os.Stat(d.in(e.all[i%len(e.all)].into)); err == nil {
				d.arrived = time.Now()
			}
		}
		if d.arrived.IsZero() {
			missing++
		}
	}
	return missing
}

// waits are how long files took, the shortest first.
func waits(drawn []*drop) []time.Duration {
	var all []time.Duration
	for _, d := range drawn {
		all = append(all, d.arrived.Sub(d.at))
	}
	slices.Sort(all)
	return all
}

func waitsOf(drawn []*drop) string {
	all := waits(drawn)
	return fmt.Sprintf("from drop to arrival %.1f, %.1f, %.1f s (least, median, most)",
		all[0].Seconds(), all[len(all)/2].Seconds(), all[len(all)-1].Seconds())
}

// checkWaits makes sure that no file of any edge waited for much longer than
// others.
func (e *edges) checkWaits(drawn []*drop) error {
	median := waits(drawn)[len(drawn)/2]
	for i, d := range drawn {
		if wait := d.arrived.Sub(d.at); wait > starvedAfter && wait > starvedTimes*median {
			return violated("no edge starves", "%s of %s waited for %v, the median is %v", d.rel, e.all[i%len(e.all)].name, wait, median)
		}
	}
	return nil
}

// collide has all edges followed into one folder, and a file of the same name
// appear at each. What is at the server already stays where it is.
func (e *edges) collide(ctx context.Context) error {
	e.shared = filepath.Join(e.server.home, "shared")
	for _, one := range e.all {
		if _, err := e.server.api().Follow(ctx, api.FollowRequest{Peer: one.daemon.ID, Into: e.shared}); err != nil {
			return err
		}
	}
	if err := e.awaitFollowing(ctx); err != nil {
		return err
	}
	var plan []recording
	for _, one := range e.all {
		d := e.drop("same day/same clip.mp4")
		one.drops = append(one.drops, d)
		plan = append(plan, d.recording)
		if err := d.make(one.card); err != nil {
			return err
		}
	}
	_, err := until(ctx, edgePatience, func() (bool, error) {
		return len(listed(filepath.Join(e.shared, "same day"))) >= len(plan), sleep(ctx, 10*poll)
	})
	if err != nil {
		return err
	}
	return e.checkCollided(plan)
}

// checkCollided makes sure that every one of the files is there once, as itself.
func (e *edges) checkCollided(plan []recording) error {
	names := listed(filepath.Join(e.shared, "same day"))
	found := map[string]bool{}
	for _, r := range plan {
		i := slices.IndexFunc(names, func(name string) bool {
			return !found[name] && r.check(filepath.Join(e.shared, "same day", name)) == nil
		})
		if i < 0 {
			return violated("files with one name do not replace each other", "one of %d bytes is not among %v", r.size, names)
		}
		found[names[i]] = true
	}
	if top := listed(e.shared); len(names) != len(plan) || len(top) != 1 {
		return violated("nothing else is left behind", "%v in %v", names, top)
	}
	return nil
}

// listed are the names in a folder, but for those of unfinished files; none if it
// is not there.
func listed(folder string) (names []string) {
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".part") {
			names = append(names, e.Name())
		}
	}
	return names
}
