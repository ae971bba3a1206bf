package assemble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vidsync/vidsync/blockstore"
)

// Finish gives a whole video its name and records it: a last receipt, flush,
// rename, flush of the folder, then places, file, catalogue entry v and jobs in
// one step of the index. It never replaces a file: if the name has been taken
// since Open, the next number is used, or ErrExists returned for an exact
// target. What follows from the video in v, and an empty name, are filled in.
// Every step may be repeated: after an error or a crash, Finish (after Open)
// goes on. It returns the video's path, and ErrIncomplete while pieces are
// missing. Bytes are not read again: Reread does that.
func (f *File) Finish(ctx context.Context, v blockstore.Video, jobs ...blockstore.Job) (string, error) {
	f.steps.Lock()
	defer f.steps.Unlock()
	if f.closed {
		return "", fmt.Errorf("finish %s: %w", f.video.CID(), fs.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := f.finish(v, jobs); err != nil {
		return "", fmt.Errorf("finish %s: %w", f.video.CID(), explain(err, f.target.Dir))
	}
	return f.final, nil
}

func (f *File) finish(v blockstore.Video, jobs []blockstore.Job) error {
	if f.reached() == fetching {
		if err := f.moveToFinal(); err != nil {
			return err
		}
	}
	record, err := f.finalRecord()
	if err != nil {
		return err
	}
	if v.Name == "" {
		v.Name = filepath.Base(f.final)
	}
	if err := f.index.Finish(f.video, record, v, jobs...); err != nil {
		return f.indexError(err)
	}
	f.reach(recorded, f.final)
	return nil
}

// moveToFinal makes everything durable and renames the part file.
func (f *File) moveToFinal() error {
	if err := f.commit(); err != nil {
		return err
	}
	if missing := f.missing(); missing > 0 {
		return fmt.Errorf("%w: %d of %d bytes are missing", ErrIncomplete, missing, f.video.Size())
	}
	if err := f.disk.Sync(f.part); err != nil {
		return f.lose(err)
	}
	if err := f.checkPart(); err != nil {
		return f.lose(err)
	}
	if err := f.checkUncut(); err != nil {
		return f.lose(err)
	}
	final, err := f.rename()
	if err != nil {
		return err
	}
	f.reach(renamed, final)
	return nil
}

func (f *File) rename() (string, error) {
	for n := 1; n <= maxNumber; n++ {
		path := f.candidate(n)
		err := f.disk.Rename(f.partPath, path)
		if !errors.Is(err, fs.ErrExist) {
			return path, err
		}
		if f.target.Exact {
			return "", fmt.Errorf("%w: %s", ErrExists, path)
		}
	}
	return "", fmt.Errorf("%w: %s and the %d numbers after it", ErrExists, f.candidate(1), maxNumber-1)
}

func (f *File) reach(p phase, final string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.phase, f.final = p, final
}

// finalRecord is the index's record of the file under its final name, once that
// name is durable.
func (f *File) finalRecord() (blockstore.File, error) {
	if f.reached() == recorded {
		return f.store.FileAt(f.final)
	}
	if err := f.keepFinalName(); err != nil {
		return blockstore.File{}, err
	}
	info, err := os.Lstat(f.final)
	if err != nil {
		return blockstore.File{}, err
	}
	open, err := f.part.Stat()
	if err != nil {
		return blockstore.File{}, err
	}
	if !os.SameFile(info, open) {
		return blockstore.File{}, fmt.Errorf("%w: %s was replaced", ErrPartLost, f.final)
	}
	return f.record(blockstore.StampOf(info), blockstore.Fetched), nil
}

// keepFinalName makes the final name durable, and only then gives up what would
// find the file again without it: its old name and its mark.
func (f *File) keepFinalName() error {
	if err := f.disk.SyncDir(f.target.Dir); err != nil {
		return err
	}
	if err := f.removePart(); err != nil { // a crash may have left both names
		return err
	}
	if err := f.disk.SyncDir(filepath.Dir(f.partPath)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.disk.Unmark(f.part)
	return f.disk.Sync(f.part)
}

// linkExclusive renames by way of a second name, for systems that cannot refuse
// to replace a file. Where there are no second names either, an empty file
// takes the new name first.
func linkExclusive(old, path string) error {
	err := os.Link(old, path)
	if err == nil {
		return os.Remove(old)
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	holder, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(holder.Close(), os.Rename(old, path))
}
