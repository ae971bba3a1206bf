package assemble

import (
	"os"

	"golang.org/x/sys/unix"
)

// openPastCache opens a file for reading past the page cache and tells whether
// the file system lets it: aligned buffers, offsets and lengths only. Otherwise
// dropCached helps.
func openPastCache(path string) (f *os.File, direct bool, err error) {
	f, err = os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT|unix.O_NOFOLLOW, 0)
	if err == nil {
		if readsDirectly(f) {
			return f, true, nil
		}
		err = f.Close()
	} else if directRefused(err) {
		err = nil
	}
	if err != nil {
		return nil, false, err
	}
	f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	return f, false, err
}

// readsDirectly tells whether directAlign is enough for the device.
func readsDirectly(f *os.File) bool {
	_, err := f.ReadAt(alignedBuffer(directAlign), 0)
	return !directRefused(err)
}

// dropCached has the next read of a range come from the disk, unless somebody
// else has it in use.
func dropCached(f *os.File, offset, n int64) {
	_ = unix.Fadvise(int(f.Fd()), offset, n, unix.FADV_DONTNEED)
}
