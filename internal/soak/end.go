package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vidsync/vidsync/api"
)

const probePatience = 90 * time.Second

// ofTheMachine are the checks of doctor that speak of the machine, not of what
// the node has.
var ofTheMachine = []string{"disk for videos", "disk for index", "clock", "open files", "udp buffers", "transcription"}

// end is what must hold at the end of a round. Then it clears up.
func (r *round) end(ctx context.Context) error {
	for _, check := range []func(context.Context) error{
		r.checkAlive, r.checkRestarted, r.checkWhole, r.checkVerify, r.checkDoctor, r.checkSource, r.probe, r.clear,
	} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkAlive makes sure that no daemon has ended by itself.
func (r *round) checkAlive(context.Context) error {
	for _, n := range r.nodes {
		if n.died() != nil {
			return violated("a daemon lives", "the %s does not", n.name)
		}
	}
	return nil
}

// checkWhole makes sure that the video lies where it should, and nothing else.
func (r *round) checkWhole(context.Context) error {
	if _, err := os.Stat(filepath.Join(r.folder, r.video.name)); err != nil {
		return violated("a fetch that is done has its file", "%v", err)
	}
	parts, err := filepath.Glob(filepath.Join(r.folder, "*.part"))
	hidden, hiddenErr := filepath.Glob(filepath.Join(r.folder, ".*"))
	if left := append(parts, hidden...); len(left) > 0 {
		return violated("no unfinished file is left", "%v", left)
	}
	return errors.Join(err, hiddenErr)
}

func (r *round) checkVerify(ctx context.Context) error {
	out, err := r.receiver.command(ctx, "verify", r.video.cid)
	if err == nil && !strings.HasPrefix(out, "ok") {
		err = errors.New(out)
	}
	if err != nil {
		return violated("verify finds every byte right", "%v", err)
	}
	return nil
}

func (r *round) checkDoctor(ctx context.Context) error {
	checks, err := r.receiver.api().Doctor(ctx)
	if err != nil {
		return err
	}
	for _, c := range checks {
		bad := c.State == "problem" && !slices.Contains(ofTheMachine, c.Name)
		if bad || c.Name == "videos" && c.State != "ok" {
			return violated("doctor finds no damage", "%+v", c)
		}
	}
	return nil
}

// checkSource makes sure that who gave the video still has it.
func (r *round) checkSource(ctx context.Context) error {
	info, err := r.source.api().Info(ctx, r.video.cid)
	if err != nil {
		return err
	}
	if info.State != "whole" {
		return violated("a source keeps its video", "%+v", info)
	}
	return nil
}

// probe has the third node fetch the video from the receiver.
func (r *round) probe(ctx context.Context) error {
	if err := r.third.start(ctx); err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	result, err := r.third.daemon.Fetch(short, r.video.cid, nil, r.receiver.addr)
	if err == nil {
		err = sameBytes(r.video.path, result.Path)
	}
	if err != nil {
		return violated("the receiver gives others the right bytes", "%v", err)
	}
	return nil
}

// clear removes the video from every node and makes sure that nothing is left
// of it.
func (r *round) clear(ctx context.Context) (err error) {
	if r.index, err = r.receiver.indexBytes(); err != nil {
		return err
	}
	for _, n := range r.nodes {
		if n.daemon == nil {
			continue
		}
		if err := r.forget(ctx, n); err != nil {
			return err
		}
	}
	return errors.Join(r.tidy(), r.removeSource())
}

// forget removes the video, and its files, from a node.
func (r *round) forget(ctx context.Context, n *node) error {
	_, err := n.api().Remove(ctx, api.RemoveRequest{Ref: r.video.cid, Files: true})
	if err != nil && api.CodeOf(err) != api.CodeNotFound {
		return err
	}
	if _, err := n.api().GC(ctx); err != nil {
		return err
	}
	for _, folder := range []string{r.folder, filepath.Join(n.home, "videos"), filepath.Join(n.home, "work")} {
		if folder == r.folder && n != r.receiver {
			continue
		}
		if err := checkEmpty(folder); err != nil {
			return err
		}
	}
	return r.checkForgotten(ctx, n)
}

// checkForgotten makes sure that nothing of the video is left in a node's index.
func (r *round) checkForgotten(ctx context.Context, n *node) error {
	jobs, err := n.api().Jobs(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(jobs, func(j api.Job) bool { return j.CID == r.video.cid }) {
		return violated("rm leaves nothing behind", "%s: %+v", n.name, jobs)
	}
	bytes, err := n.indexBytes()
	if err == nil && bytes > maxIndexBytes {
		return violated("an index does not grow without bound", "%s has no video and an index of %d bytes", n.name, bytes)
	}
	return err
}

func checkEmpty(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && len(entries) > 0 {
		return violated("rm leaves nothing behind", "%s: %v", folder, entries)
	}
	if err != nil {
		return fmt.Errorf("look for what rm left: %w", err)
	}
	return nil
}
