package assemble

import (
	"os"

	"github.com/ipfs/go-cid"
	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// disk is every way in which this package changes a file system. Nothing that
// it did outlives a power cut before Flush, Sync or SyncDir returned: Flush
// keeps a file's bytes and size, Sync its mark as well, SyncDir the names in a
// folder. Tests stand in for it to lose, to refuse and to stop.
type disk interface {
	Mkdir(dir string) error
	Create(path string) (*os.File, error) // fs.ErrExist if the name is taken
	Rename(old, path string) error        // fs.ErrExist if the name is taken
	Remove(path string) error
	SyncDir(dir string) error
	Free(dir string) (free, total int64, err error)

	Mark(f *os.File, text string) error
	Unmark(f *os.File)
	Truncate(f *os.File, size int64) error
	Allocate(f *os.File, size int64) error
	Write(f *os.File, data []byte, offset int64) error
	Share(dst *os.File, dstOffset int64, src *os.File, srcOffset, n int64) error
	Copy(dst *os.File, dstOffset int64, src *os.File, srcOffset, n int64) error
	Flush(f *os.File) error
	Sync(f *os.File) error
}

// index is every way in which a fetch changes the index.
type index interface {
	PutManifest(m *manifest.Manifest) error
	PutReceipt(r blockstore.Receipt) error
	NameReceipt(video cid.Cid, recording string) error
	AdvanceReceipt(from cid.Cid, to *manifest.Manifest) error
	CommitReceipt(video cid.Cid, updates []blockstore.ReceiptUpdate) error
	DropReceipt(video cid.Cid) error
	Finish(m *manifest.Manifest, f blockstore.File, v blockstore.Video, jobs ...blockstore.Job) error
}

// systemDisk is the disk of the operating system.
type systemDisk struct{}

func (systemDisk) Mkdir(dir string) error { return os.Mkdir(dir, 0o755) }

func (systemDisk) Create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o644)
}

func (systemDisk) Rename(old, path string) error { return renameExclusive(old, path) }

func (systemDisk) Remove(path string) error { return os.Remove(path) }

func (systemDisk) SyncDir(dir string) error { return syncDir(dir) }

func (systemDisk) Free(dir string) (free, total int64, err error) { return freeSpace(dir) }

func (systemDisk) Mark(f *os.File, text string) error { return setMark(f, text) }

func (systemDisk) Unmark(f *os.File) { clearMark(f) }

func (systemDisk) Truncate(f *os.File, size int64) error { return f.Truncate(size) }

func (systemDisk) Allocate(f *os.File, size int64) error { return allocate(f, size) }

func (systemDisk) Write(f *os.File, data []byte, offset int64) error {
	_, err := f.WriteAt(data, offset)
	return err
}

func (systemDisk) Share(dst *os.File, dstOffset int64, src *os.File, srcOffset, n int64) error {
	return reflink(dst, dstOffset, src, srcOffset, n)
}

func (systemDisk) Copy(dst *os.File, dstOffset int64, src *os.File, srcOffset, n int64) error {
	return copyRange(dst, dstOffset, src, srcOffset, n)
}

func (systemDisk) Flush(f *os.File) error { return flushData(f) }

func (systemDisk) Sync(f *os.File) error { return f.Sync() }
