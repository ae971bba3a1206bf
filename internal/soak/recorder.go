package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	recordersAtOnce = 3
	recordingSteps  = 40
	leastStep       = 64 << 10
)

// recorder writes files onto a card, as slowly as a camera does. While the card
// is away it waits.
type recorder struct {
	dir   string
	began time.Time
	// files is read-locked while a file is open, card while something is done
	// on the card. Who takes the card away locks one of them.
	files, card sync.RWMutex
}

// run makes all recordings.
func (r *recorder) run(ctx context.Context, all []recording) error {
	r.began = time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(recordersAtOnce)
	for _, rec := range all {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := r.record(ctx, rec); err != nil {
				return fmt.Errorf("record %s: %w", rec.rel, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// record makes one, once its time has come.
func (r *recorder) record(ctx context.Context, rec recording) error {
	if err := sleep(ctx, time.Until(r.began.Add(rec.start))); err != nil {
		return err
	}
	r.files.RLock()
	defer r.files.RUnlock()
	path := rec.at(r.dir)
	f, err := r.create(path)
	if err != nil {
		return err
	}
	if err := r.fill(ctx, f, rec); err != nil {
		return errors.Join(err, f.Close())
	}
	r.card.RLock()
	defer r.card.RUnlock()
	err = errors.Join(rec.writeHead(f), f.Sync(), f.Close())
	if err == nil && rec.temporary {
		err = os.Rename(path, rec.on(r.dir))
	}
	return err
}

func (r *recorder) create(path string) (*os.File, error) {
	r.card.RLock()
	defer r.card.RUnlock()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
}

// fill writes the file, step by step.
func (r *recorder) fill(ctx context.Context, f *os.File, rec recording) error {
	step := max(leastStep, rec.size/recordingSteps+1)
	pause := rec.took / time.Duration((rec.size+step-1)/step)
	source := content(rec.stream, rec.size)
	if _, err := io.CopyN(io.Discard, source, rec.head); err != nil {
		return err
	}
	source = io.MultiReader(content(^rec.stream, rec.head), source)
	for left := rec.size; left > 0; left -= step {
		r.card.RLock()
		_, err := io.CopyN(f, source, min(step, left))
		r.card.RUnlock()
		if err == nil {
			err = sleep(ctx, pause)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeHead puts the right bytes where others were until now, as those do who
// write the length of a recording into its beginning.
func (r recording) writeHead(f *os.File) error {
	_, err := io.Copy(io.NewOffsetWriter(f, 0), content(r.stream, r.head))
	return err
}
