package assemble

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/blockstore"
)

// create makes a new part file beside f.final, under a name that nobody has,
// and starts its receipt. The receipt comes before the space is taken: a crash
// in between leaves an empty file and not a large one.
func (f *File) create() error {
	if err := f.checkSpace(f.video.Size()); err != nil {
		return err
	}
	part, err := f.createPart()
	if err != nil {
		return err
	}
	f.part, f.partPath = part, part.Name()
	if err := f.start(); err != nil {
		return errors.Join(err, f.removePart(), f.dropReceipt())
	}
	return nil
}

// createPart makes a part file under the first free name, and locks it.
func (f *File) createPart() (*os.File, error) {
	for n := 1; n <= maxNumber; n++ {
		path := filepath.Join(filepath.Dir(f.final), partName(filepath.Base(f.final), n))
		part, err := f.disk.Create(path)
		if errors.Is(err, fs.ErrExist) {
			if part = f.adopt(path); part == nil {
				continue
			}
			return part, nil
		}
		if err != nil {
			return nil, err
		}
		if err := lockNew(part); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), part.Close())
		}
		return part, nil
	}
	return nil, fmt.Errorf("%w: %s%s and the %d names after it", ErrExists, f.final, partSuffix, maxNumber-1)
}

// adopt opens the empty part file of this video, or recording, that a crash left before it had
// a receipt. It returns nil for whatever else lies at path.
func (f *File) adopt(path string) *os.File {
	part, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	info, err := part.Stat()
	empty := err == nil && info.Mode().IsRegular() && info.Size() == 0
	if empty && markOf(part) == f.mark() && lockNew(part) == nil {
		return part
	}
	_ = part.Close() // nothing was written
	return nil
}

// start begins a receipt for the part file and takes the space for it. The mark
// is durable before: without it no receipt is honoured.
func (f *File) start() error {
	if err := f.disk.Mark(f.part, f.mark()); err != nil {
		return err
	}
	if err := f.disk.Sync(f.part); err != nil {
		return err
	}
	id, err := stampOf(f.part)
	if err != nil {
		return err
	}
	if err := f.putReceipt(id); err != nil {
		return f.indexError(err)
	}
	if err := f.preallocate(); err != nil {
		return err
	}
	return f.disk.SyncDir(filepath.Dir(f.partPath))
}

// putReceipt begins the receipt. The next version of a recording needs the
// manifest to take it over.
func (f *File) putReceipt(id blockstore.Stamp) error {
	if f.recording != "" {
		if err := f.index.PutManifest(f.video); err != nil {
			return err
		}
	}
	return f.index.PutReceipt(blockstore.Receipt{
		Video: f.video.CID(), Part: f.partPath, Final: f.final, Inode: id.Inode, Device: id.Device, Recording: f.recording,
	})
}

// preallocate gives the part file its size and the space that it does not have
// yet.
func (f *File) preallocate() error {
	size := f.video.Size()
	info, err := f.part.Stat()
	if err != nil {
		return err
	}
	if size == 0 {
		return f.disk.Truncate(f.part, 0)
	}
	need := size - max(allocated(info), f.held.Bytes())
	if info.Size() == size && need <= 0 {
		return f.noteSpace()
	}
	if err := f.checkSpace(need); err != nil {
		return err
	}
	if err := f.disk.Allocate(f.part, size); err != nil {
		return f.spaceError(err, need)
	}
	return f.noteSpace()
}

// ownPart opens the part file of a receipt. It returns nil and the reason if
// that file is gone or is another one now.
func (f *File) ownPart(r blockstore.Receipt) (part *os.File, reason string, err error) {
	part, err = os.OpenFile(r.Part, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "the part file is gone", nil
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO):
		return nil, "the part file was replaced", nil
	case err != nil:
		return nil, "", err
	}
	stamp, err := stampOf(part)
	if err != nil {
		return nil, "", errors.Join(err, part.Close())
	}
	if !isPartOf(part, stamp, r) {
		return nil, "the part file was replaced", part.Close()
	}
	if err := lockPart(part); err != nil {
		return nil, "", errors.Join(err, part.Close())
	}
	return part, "", nil
}

// isReceipted tells whether the stamp is of the file that the receipt speaks of.
func isReceipted(s blockstore.Stamp, r blockstore.Receipt) bool {
	return s.Inode == r.Inode && s.Device == r.Device
}

// isPartOf tells whether a file with that stamp is the part file of a receipt.
// A file system that was mounted again may have another device number: then the
// mark proves it alone. Until a fetch that became one of a recording is marked
// as that, it has the mark of the video.
func isPartOf(part *os.File, s blockstore.Stamp, r blockstore.Receipt) bool {
	mark, err := readMark(part)
	if err != nil {
		return unmarkable(err) && isReceipted(s, r)
	}
	return s.Inode == r.Inode && (mark == markText(r.Video, r.Recording) || mark == r.Video.String())
}

// checkPart returns ErrPartLost unless the part's path still leads to it.
func (f *File) checkPart() error {
	named, err := os.Lstat(f.partPath)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPartLost, err)
	}
	open, err := f.part.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(named, open) {
		return fmt.Errorf("%w: %s was replaced", ErrPartLost, f.partPath)
	}
	return nil
}

// removePart deletes the part file. What else may lie at its path stays.
func (f *File) removePart() error {
	err := f.checkPart()
	if errors.Is(err, ErrPartLost) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.disk.Remove(f.partPath)
}

// stampOf is the stamp of an open regular file.
func stampOf(f *os.File) (blockstore.Stamp, error) {
	info, err := f.Stat()
	if err != nil {
		return blockstore.Stamp{}, err
	}
	if !info.Mode().IsRegular() {
		return blockstore.Stamp{}, fmt.Errorf("%s is not a regular file", f.Name())
	}
	return blockstore.StampOf(info), nil
}

func sameFile(a, b *os.File) error {
	x, err := a.Stat()
	if err != nil {
		return err
	}
	y, err := b.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(x, y) {
		return fmt.Errorf("%w: %s was replaced", ErrPartLost, a.Name())
	}
	return nil
}

// syncDir makes the names in a folder durable, where its file system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
