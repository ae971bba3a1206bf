package assemble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// Open prepares the file that the video m becomes. A fetch that has a receipt
// goes on where the receipt stands, and nothing is hashed. Otherwise a new part
// file takes the video's space: ErrNoSpace if there is none. If a file of the
// target's name already is this video, f is Done; if it is another one, the
// next number is taken, or ErrExists returned for an exact target. An existing
// file of the same size that the index does not know is read to find out, until
// the first block that differs or ctx ends.
//
// A receipted part file that was removed, replaced or has another size is
// started over, and the logger told so. If it was cut and has its size again,
// what was cut off is not held any more. If its file system is away, that is a
// DiskError, unless the target is another folder now. What is not ours is never
// written to. The part file of a recording is never started over because of its
// size: it gets that of the version. If the target is another folder of the same file system, the part
// file stays where it is until Finish. While f is open no other process can
// open the same part file. The caller closes f.
func Open(ctx context.Context, store *blockstore.Store, m *manifest.Manifest, t Target, cfg Config) (*File, error) {
	if err := checkName(t); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(t.Dir)
	if err != nil {
		return nil, err
	}
	if len(cfg.Recording) > blockstore.MaxRecording {
		return nil, fmt.Errorf("open %s: recording named by %d bytes, limit %d", filepath.Join(dir, t.Name), len(cfg.Recording), blockstore.MaxRecording)
	}
	t.Dir = dir
	f := newFile(store, m, t, cfg.withDefaults(store))
	if err := f.open(ctx); err != nil {
		err = errors.Join(explain(err, dir), f.closeHandles())
		return nil, fmt.Errorf("open %s: %w", filepath.Join(dir, t.Name), err)
	}
	return f, nil
}

func (f *File) open(ctx context.Context) error {
	receipt, err := f.receipt()
	if err != nil {
		return err
	}
	if err := f.checkMounted(receipt); err != nil {
		return err
	}
	if err := makeFolder(f.disk, f.target.Dir); err != nil {
		return err
	}
	if receipt, err = f.takeOver(receipt); err != nil {
		return err
	}
	if err := f.settle(ctx, receipt); err != nil {
		return err
	}
	switch f.phase {
	case recorded:
		return f.abandon(receipt)
	case renamed:
		return f.openRenamed(receipt)
	case fetching:
	}
	resumed, err := f.resume(receipt)
	if err != nil {
		return err
	}
	if !resumed {
		if err := f.create(); err != nil {
			return err
		}
	}
	f.direct, err = openDirect(f.part)
	return err
}

// receipt returns the video's receipt, or that of another version of its
// recording, nil if there is none.
func (f *File) receipt() (*blockstore.Receipt, error) {
	r, err := f.store.Receipt(f.video.CID())
	if errors.Is(err, fs.ErrNotExist) {
		r, err = f.store.RecordingReceipt(f.recording)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &r, f.indexError(err)
}

// settle finds the name that the video will have, and whether it is there
// already.
func (f *File) settle(ctx context.Context, r *blockstore.Receipt) error {
	for n := 1; n <= maxNumber; n++ {
		f.final = f.candidate(n)
		vacant, err := f.look(ctx, r)
		if err != nil || vacant || f.phase != fetching {
			return err
		}
		if f.target.Exact {
			return fmt.Errorf("%w: %s", ErrExists, f.final)
		}
	}
	return fmt.Errorf("%w, and so have the %d numbers after it", ErrExists, maxNumber-1)
}

func (f *File) candidate(n int) string {
	if f.target.Exact {
		return filepath.Join(f.target.Dir, f.target.Name)
	}
	return filepath.Join(f.target.Dir, numbered(f.target.Name, n))
}

// openRenamed goes on after a crash between the rename and the index.
func (f *File) openRenamed(r *blockstore.Receipt) (err error) {
	f.part, err = os.OpenFile(f.final, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	if stamp, err := stampOf(f.part); err != nil || !isReceipted(stamp, *r) {
		return errors.Join(fmt.Errorf("%w: %s was replaced", ErrPartLost, f.final), err)
	}
	f.partPath = r.Part
	f.held = manifest.AllHoldings(f.video.Size())
	return nil
}

// abandon removes what an earlier fetch left, because the video is here in
// another file.
func (f *File) abandon(r *blockstore.Receipt) error {
	f.held = manifest.AllHoldings(f.video.Size())
	if r == nil {
		return nil
	}
	return f.discard(r)
}

// discard removes a receipt and its part file.
func (f *File) discard(r *blockstore.Receipt) error {
	part, _, err := f.ownPart(*r)
	if err != nil {
		return err
	}
	if part != nil {
		err = errors.Join(f.disk.Remove(r.Part), closeLocked(part))
	}
	return errors.Join(err, f.indexError(f.index.DropReceipt(r.Video)))
}

// resume takes up the part file of a receipt. It returns false if there is
// nothing to go on with.
func (f *File) resume(r *blockstore.Receipt) (bool, error) {
	if r == nil {
		return false, nil
	}
	part, reason, err := f.ownPart(*r)
	if err != nil {
		return false, err
	}
	if part == nil {
		f.startOver(reason, r)
		return false, nil
	}
	f.part, f.partPath = part, r.Part
	if moved, err := f.movedAway(r); err != nil || moved {
		return false, err
	}
	info, err := part.Stat()
	if err != nil {
		return false, err
	}
	if f.recording == "" && info.Size() != f.video.Size() {
		return true, f.restart(r, info.Size())
	}
	return true, f.goOn(r, info.Size())
}

// goOn takes up a part file that had size bytes.
func (f *File) goOn(r *blockstore.Receipt, size int64) error {
	if err := f.remark(f.part); err != nil {
		return err
	}
	if err := f.resize(size); err != nil {
		return err
	}
	if err := f.trust(r, size); err != nil {
		return err
	}
	return f.preallocate()
}

// restart uses a part file that is ours but has another size: it was cut, or
// the process died before it had its size.
func (f *File) restart(r *blockstore.Receipt, size int64) error {
	if len(r.Masks) > 0 {
		f.startOver(fmt.Sprintf("the part file has %d bytes instead of %d", size, f.video.Size()), r)
	}
	if err := f.disk.Truncate(f.part, 0); err != nil {
		return err
	}
	return f.start()
}

// movedAway removes the part file if the target is on another file system,
// where no rename can bring it.
func (f *File) movedAway(r *blockstore.Receipt) (bool, error) {
	info, err := os.Stat(f.target.Dir)
	if err != nil {
		return false, err
	}
	part, err := stampOf(f.part)
	if err != nil || blockstore.StampOf(info).Device == part.Device {
		return false, err
	}
	f.startOver("the destination is on another file system now", r)
	err = errors.Join(f.removePart(), closeLocked(f.part))
	f.part, f.partPath = nil, ""
	return true, err
}

func (f *File) startOver(reason string, r *blockstore.Receipt) {
	f.cfg.Logger.Warn("fetch starts over", "video", f.video.CID(), "reason", reason, "part", r.Part)
}

// allocated is how many bytes of disk a file has.
func allocated(info fs.FileInfo) int64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.Size()
	}
	return st.Blocks * 512
}
