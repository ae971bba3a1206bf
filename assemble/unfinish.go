package assemble

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/blockstore"
)

// unfinish takes the final name back from the part file of another version that
// was just being finished when the process or the power failed: it is to grow
// under its own name.
func (f *File) unfinish(r blockstore.Receipt) error {
	if err := f.unname(r, r.Final); err != nil {
		return err
	}
	for n := 1; n <= maxNumber; n++ {
		path := f.candidate(n)
		if _, err := os.Lstat(path); err != nil {
			return nil // no later one was taken
		}
		if err := f.unname(r, path); err != nil || f.target.Exact {
			return err
		}
	}
	return nil
}

// unname is unfinish for one path. Only the mark tells that a file is ours.
func (f *File) unname(r blockstore.Receipt, path string) error {
	final, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil // it is no part file of ours
	}
	defer final.Close() // read only: nothing to lose
	stamp, err := stampOf(final)
	if err != nil || markOf(final) == "" || !isPartOf(final, stamp, r) {
		return nil
	}
	info, err := final.Stat()
	if err != nil {
		return err
	}
	if err := f.takeName(path, info, r.Part); err != nil {
		return err
	}
	return errors.Join(f.disk.SyncDir(filepath.Dir(path)), f.disk.SyncDir(filepath.Dir(r.Part)))
}

// takeName has the file at path go by the name part alone.
func (f *File) takeName(path string, info fs.FileInfo, part string) error {
	named, err := os.Lstat(part)
	if errors.Is(err, fs.ErrNotExist) {
		return f.disk.Rename(path, part)
	}
	if err == nil && os.SameFile(named, info) && path != part && links(info) > 1 {
		return f.disk.Remove(path) // a power cut left both names
	}
	return err
}

// links is how many names a file has.
func links(info fs.FileInfo) uint64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 1
	}
	return uint64(st.Nlink)
}
