package main

import (
	"bytes"
	"context"
	"encoding/json"
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

const (
	// maxIndexBytes bounds the index of a node that has had hundreds of videos
	// and has none: many times what it takes.
	maxIndexBytes = 8 * mb

	// Besides the pieces that were missing there come messages, and those
	// pieces twice that were on their way when somebody was killed.
	overhead   = 0.03
	inFlight   = 16 * mb
	countPause = 1500 * time.Millisecond // until the counters have what went before
)

// violation is a rule that does not hold.
type violation struct{ rule, detail string }

func (v *violation) Error() string { return fmt.Sprintf("violated: %s: %s", v.rule, v.detail) }

func violated(rule, format string, args ...any) error {
	return &violation{rule, fmt.Sprintf(format, args...)}
}

// checkFolder looks at the folder into which the video comes.
func (r *round) checkFolder() error {
	if r.folder == "" {
		return nil
	}
	return checkFolder(r.folder, r.video)
}

// checkFolder makes sure that in a folder only a whole video bears its final
// name, and that there is no second copy. What ends in .part or is hidden is not
// finished, and transcripts begin like the video.
func checkFolder(folder string, v video) error {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	stem := strings.TrimSuffix(v.name, filepath.Ext(v.name))
	for _, e := range entries {
		name := e.Name()
		switch {
		case name == v.name:
			if err := sameBytes(v.path, filepath.Join(folder, name)); err != nil {
				return violated("a final name is a whole video's", "%v", err)
			}
		case strings.HasSuffix(name, ".part"), strings.HasPrefix(name, "."):
		case strings.HasPrefix(name, stem+" ("):
			return violated("no second copy", "%s", filepath.Join(folder, name))
		case !strings.HasPrefix(name, stem+"."):
			return violated("nothing else is left behind", "%s", filepath.Join(folder, name))
		}
	}
	return nil
}

// sameBytes tells how two files differ, if they do.
func sameBytes(wantPath, gotPath string) error {
	want, err := os.Open(wantPath)
	if err != nil {
		return err
	}
	defer want.Close()
	got, err := os.Open(gotPath)
	if err != nil {
		return err
	}
	defer got.Close()
	if err := sameContent(want, got); err != nil {
		return fmt.Errorf("%s differs from %s: %w", gotPath, wantPath, err)
	}
	return nil
}

// sameContent tells where two streams of bytes differ, if they do.
func sameContent(want, got io.Reader) error {
	a, b := make([]byte, copyUnit), make([]byte, copyUnit)
	for at := int64(0); ; at += copyUnit {
		n, errA := io.ReadFull(want, a)
		m, errB := io.ReadFull(got, b)
		if n != m || !bytes.Equal(a[:n], b[:m]) {
			return fmt.Errorf("between bytes %d and %d", at, at+int64(max(n, m)))
		}
		if errA != nil || errB != nil {
			return unexpected(errA, errB)
		}
	}
}

// unexpected leaves out the errors that end a file.
func unexpected(errs ...error) error {
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool {
		return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	})...)
}

// look has a command, while the receiver's daemon is down, say what its
// receipts cover. Every second time nobody looks: opening the index mends it,
// and the daemon should do that too.
func (r *round) look(ctx context.Context) error {
	r.looked = r.rng.IntN(2) == 0
	if !r.looked {
		return nil
	}
	out, err := r.receiver.command(ctx, "--json", "ls")
	if err != nil {
		return violated("the index opens", "%v", err)
	}
	var have int64
	for dec := json.NewDecoder(strings.NewReader(out)); dec.More(); {
		var v api.Video
		if err := dec.Decode(&v); err != nil {
			return err
		}
		if v.CID == r.video.cid {
			have = v.Have
		}
	}
	r.diary.Info("looked", "receipts", have)
	if have < r.floor {
		return violated("receipts are not lost", "they covered %d bytes, and now %d", r.floor, have)
	}
	r.floor, r.covered = have, max(have, r.covered)
	return nil
}

// checkRestarted is what must hold after every start.
func (r *round) checkRestarted(ctx context.Context) error {
	if err := r.checkJob(ctx); err != nil {
		return err
	}
	return r.checkFolder()
}

// checkJob makes sure that the receiver knows what it was asked for, once.
func (r *round) checkJob(ctx context.Context) error {
	if !r.stored {
		return nil
	}
	jobs, err := r.receiver.api().Jobs(ctx)
	if err != nil {
		return err
	}
	videos, err := api.Collect(r.receiver.api().Videos(ctx))
	if err != nil {
		return err
	}
	jobs = slices.DeleteFunc(jobs, func(j api.Job) bool { return j.CID != r.video.cid || j.Kind != "fetch" })
	videos = slices.DeleteFunc(videos, func(v api.Video) bool { return v.CID != r.video.cid })
	switch {
	case len(jobs) > 1 || len(videos) > 1:
		return violated("a job and a video are there once", "jobs %+v, videos %+v", jobs, videos)
	case len(jobs) == 1 && jobs[0].State == "failed":
		return violated("a detached fetch does not fail", "%+v", jobs[0])
	case len(videos) == 1 && videos[0].State == "whole":
		return nil
	case len(jobs) == 0 || jobs[0].State == "done":
		return violated("no job is lost", "jobs %+v, videos %+v", jobs, videos)
	}
	return nil
}

// checkResult holds what a fetch says of itself against what the receipts
// covered before.
func (r *round) checkResult(got api.FetchResult) error {
	if got.ResumedBytes < r.floor {
		return violated("what was receipted is not fetched again", "receipts covered %d bytes, the fetch began with %d", r.floor, got.ResumedBytes)
	}
	if fresh := got.BytesReceived - got.DuplicateBytes; got.ResumedBytes+fresh > got.Size {
		return violated("what was receipted is not fetched again", "of %d bytes %d were here and %d came", got.Size, got.ResumedBytes, fresh)
	}
	return nil
}

// checkReceived holds the receiver's traffic since its start against what its
// receipts covered then.
func (r *round) checkReceived(ctx context.Context) error {
	if !r.looked || r.floor == 0 {
		return nil
	}
	if err := sleep(ctx, countPause); err != nil {
		return err
	}
	status, err := r.receiver.api().Status(ctx)
	if err != nil {
		return err
	}
	missing := r.video.size - r.floor
	if limit := int64(float64(missing)*(1+overhead)) + inFlight; status.BytesIn > limit {
		return violated("what was receipted is not fetched again", "receipts covered %d of %d bytes, and %d came after the start", r.floor, r.video.size, status.BytesIn)
	}
	return nil
}
