package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vidsync/vidsync/api"
)

// awaitAll waits until both nodes say that everything is at both ends, and that
// each knows so.
func (f *field) awaitAll(ctx context.Context) error {
	if _, err := f.server.api().Limit(ctx, api.LimitRequest{Reset: true}); err != nil {
		return err
	}
	var missing error
	ok, err := until(ctx, fieldPatience, func() (bool, error) {
		missing = f.missing(ctx)
		f.diary.Info("waits", "for", missing)
		if err := errors.Join(f.edge.died(), f.server.died(), ctx.Err()); err != nil {
			return false, err
		}
		return missing == nil, sleep(ctx, 20*poll)
	})
	if err == nil && !ok {
		err = violated("everything arrives", "after %v: %v", fieldPatience, missing)
	}
	return err
}

// missing says what is not as it should be in the end.
func (f *field) missing(ctx context.Context) error {
	contents := len(byContent(f.plan))
	for _, n := range []*node{f.edge, f.server} {
		if err := checkVideos(ctx, n, contents); err != nil {
			return err
		}
	}
	if err := checkWatches(ctx, f.edge); err != nil {
		return err
	}
	if err := checkFollows(ctx, f.server); err != nil {
		return err
	}
	return f.checkReceipts(ctx)
}

// checkVideos makes sure that a node has so many videos, all of them whole, and
// nothing left to do.
func checkVideos(ctx context.Context, n *node, want int) error {
	videos, err := api.Collect(n.api().Videos(ctx))
	if err != nil {
		return err
	}
	for _, v := range videos {
		if v.State != "whole" || v.Have != v.Size || len(v.Damage) > 0 {
			return fmt.Errorf("%s: %+v", n.name, v)
		}
	}
	if len(videos) != want {
		return fmt.Errorf("%s has %d videos of %d", n.name, len(videos), want)
	}
	jobs, err := n.api().Jobs(ctx)
	if i := slices.IndexFunc(jobs, func(j api.Job) bool { return j.State != "done" }); i >= 0 {
		return fmt.Errorf("%s: %+v", n.name, jobs[i])
	}
	return err
}

// checkWatches makes sure that a node watches and has trouble with no file.
func checkWatches(ctx context.Context, n *node) error {
	watches, err := n.api().Watches(ctx)
	for _, w := range watches {
		if w.State != "watching" || len(w.Failed) > 0 || w.Message != "" {
			return fmt.Errorf("%s: %+v", n.name, w)
		}
	}
	return err
}

// checkFollows makes sure that a node follows and waits for nothing.
func checkFollows(ctx context.Context, n *node) error {
	follows, err := n.api().Follows(ctx)
	for _, f := range follows {
		if f.State != "following" || f.Waiting > 0 || f.Message != "" {
			return fmt.Errorf("%s: %+v", n.name, f)
		}
	}
	return err
}

// checkReceipts makes sure that the edge knows which of its videos are safe, and
// that both nodes mean the same ones.
func (f *field) checkReceipts(ctx context.Context) error {
	videos, err := api.Collect(f.edge.api().Videos(ctx))
	if err != nil {
		return err
	}
	for _, v := range videos {
		if _, err := f.server.api().Info(ctx, v.CID); err != nil {
			return fmt.Errorf("%s has no %s (%s): %w", f.server.name, v.CID, v.Name, err)
		}
		receipts, err := f.edge.api().Receipts(ctx, v.CID)
		if err != nil {
			return err
		}
		if receipts.Safe != 1 {
			return fmt.Errorf("%s has %d receipts for %s (%s)", f.edge.name, receipts.Safe, v.CID, v.Name)
		}
	}
	return nil
}

// checkArrived holds the server's folder against what was recorded.
func (f *field) checkArrived(context.Context) error {
	f.measure(f.edge)
	f.measure(f.server)
	return checkTree(f.into, f.plan)
}

// checkTree makes sure that a folder has every content once, under one of the
// paths under which it was recorded, and nothing else.
func checkTree(folder string, plan []recording) error {
	found := map[string]bool{} // by path below the folder
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found[filepath.ToSlash(strings.TrimPrefix(path, folder+string(filepath.Separator)))] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, twins := range byContent(plan) {
		here := slices.DeleteFunc(slices.Clone(twins), func(r recording) bool { return !found[r.rel] })
		if len(here) != 1 {
			return violated("every file arrives once", "%+v is there %d times", twins, len(here))
		}
		if err := here[0].check(here[0].in(folder)); err != nil {
			return violated("what arrives is equal", "%v", err)
		}
		delete(found, here[0].rel)
	}
	for rel := range found {
		return violated("nothing else is left behind", "%s", rel)
	}
	return nil
}

// check holds a file against what was recorded.
func (r recording) check(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := sameContent(content(r.stream, r.size), f); err != nil {
		return fmt.Errorf("%s differs from what was recorded: %w", path, err)
	}
	return nil
}

// role is what a trial's node is, without the trial's number.
func (n *node) role() string { return n.name[strings.LastIndexByte(n.name, ' ')+1:] }
