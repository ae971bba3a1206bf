package assemble

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/vidsync/vidsync/blockstore"
)

// takeOver makes a receipt that Open found that of the video, and of its
// recording. It returns nil if there is nothing to go on with. A crash between
// any two steps leaves a receipt by which the next Open finds the part file.
func (f *File) takeOver(r *blockstore.Receipt) (*blockstore.Receipt, error) {
	switch {
	case r == nil:
		return nil, nil
	case r.Video != f.video.CID():
		return f.advance(r)
	case r.Recording != "" || f.recording == "":
		f.recording = r.Recording // what the fetch began as, it stays
		return r, nil
	}
	return r, f.join(r)
}

// join makes a fetch that began without a recording that of one. What there is
// of another version is given up.
func (f *File) join(r *blockstore.Receipt) error {
	other, err := f.store.RecordingReceipt(f.recording)
	if err == nil {
		err = f.discard(&other)
	} else if err = f.indexError(err); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	r.Recording = f.recording
	return f.indexError(f.index.NameReceipt(r.Video, r.Recording))
}

// advance makes the receipt of another version that of the video.
func (f *File) advance(r *blockstore.Receipt) (*blockstore.Receipt, error) {
	if err := f.unfinish(*r); err != nil {
		return nil, err
	}
	part, reason, err := f.ownPart(*r)
	if err != nil {
		return nil, err
	}
	if part == nil {
		f.startOver(reason, r)
		return nil, f.indexError(f.index.DropReceipt(r.Video))
	}
	err = errors.Join(f.advanceReceipt(part, r), closeLocked(part))
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOENT) { // the index says so, not the disk
		f.startOver("it is not known any more what it was a version of", r)
		return nil, f.discard(r)
	}
	if err != nil {
		return nil, err
	}
	own, err := f.store.Receipt(f.video.CID())
	return &own, f.indexError(err)
}

func (f *File) advanceReceipt(part *os.File, r *blockstore.Receipt) error {
	if err := f.remark(part); err != nil {
		return err
	}
	if err := f.index.PutManifest(f.video); err != nil {
		return f.indexError(err)
	}
	if err := f.index.AdvanceReceipt(r.Video, f.video); err != nil {
		return f.indexError(err)
	}
	return nil
}

// resize gives a part file of another version the size of the video. Its name
// is made durable as well, which a crash may have kept from being done.
func (f *File) resize(size int64) error {
	if size == f.video.Size() {
		return nil
	}
	if err := f.disk.Truncate(f.part, f.video.Size()); err != nil {
		return f.spaceError(err, f.video.Size()-size)
	}
	return f.disk.SyncDir(filepath.Dir(f.partPath))
}

// Discard removes an unfinished fetch: its receipt and its part file. It takes no
// space, and needs neither manifest nor target. A part file that is not there, or
// not ours, is passed over; one that is open in a File is an error.
func Discard(store *blockstore.Store, r blockstore.Receipt) error {
	cfg := Config{}.withDefaults(store)
	f := &File{store: store, index: cfg.index, disk: cfg.disk, cfg: cfg, target: Target{Dir: filepath.Dir(r.Final)}}
	if err := f.checkMounted(&r); err != nil {
		return fmt.Errorf("discard %s: %w", r.Part, err)
	}
	if err := f.discard(&r); err != nil {
		return fmt.Errorf("discard %s: %w", r.Part, err)
	}
	return nil
}
