package assemble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

var errDiffers = errors.New("file differs from the video")

// look tells whether nothing has the name f.final. If the video has it, f.phase
// says how far the video is. Links are never followed.
func (f *File) look(ctx context.Context, r *blockstore.Receipt) (vacant bool, err error) {
	info, err := os.Lstat(f.final)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil || !info.Mode().IsRegular() || info.Size() != f.video.Size() {
		return false, err
	}
	if r != nil && isReceipted(blockstore.StampOf(info), *r) && f.whole(*r) {
		f.phase = renamed
		return false, nil
	}
	known, err := f.store.FileAt(f.final)
	if err == nil {
		if known.Video == f.video.CID() {
			f.phase = recorded
		}
		return false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, blockstore.ErrChanged) {
		return false, err
	}
	return false, f.compare(ctx)
}

// whole tells whether the receipt covers every piece.
func (f *File) whole(r blockstore.Receipt) bool {
	for i := range f.video.NumBlocks() {
		if full := f.held.FullMask(i); r.Masks[i]&full != full {
			return false
		}
	}
	return true
}

// compare reads the file at f.final. If it is the video, it is recorded as a
// file that was here before.
func (f *File) compare(ctx context.Context) error {
	file, err := os.OpenFile(f.final, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	before, err := stampOf(file)
	if err != nil {
		return err
	}
	im := f.store.Import()
	defer im.Discard()
	err = f.hash(ctx, file, im)
	if errors.Is(err, errDiffers) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("compare %s with %s: %w", f.final, f.video.CID(), err)
	}
	if after, err := stampOf(file); err != nil || after != before {
		return err
	}
	if err := im.Commit(f.video, f.record(before, blockstore.Added), blockstore.Video{Name: filepath.Base(f.final)}); err != nil {
		return f.indexError(err)
	}
	f.phase = recorded
	return nil
}

// hash gives the blocks of file to im and returns errDiffers at the first one
// that is not the video's.
func (f *File) hash(ctx context.Context, file *os.File, im *blockstore.Import) error {
	_, err := manifest.Split(ctx, file, f.video.Size(), manifest.SplitConfig{
		Progress: f.cfg.Compared,
		Block: func(b manifest.Block, o manifest.Outboard) error {
			if b.Digest != f.video.Block(b.Index).Digest {
				return errDiffers
			}
			return im.Block(b, o)
		},
	})
	return err
}

// record is the index's record of the video at f.final.
func (f *File) record(s blockstore.Stamp, o blockstore.Origin) blockstore.File {
	return blockstore.File{Path: f.final, Stamp: s, Video: f.video.CID(), Origin: o, When: time.Now()}
}
