package assemble

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// freeSpace returns the bytes that this user may still write to the file system
// of dir, and its size.
func freeSpace(dir string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	unit := int64(s.Frsize)
	if unit == 0 {
		unit = int64(s.Bsize)
	}
	return int64(s.Bavail) * unit, int64(s.Blocks) * unit, nil
}

// allocate gives f its size and the space for it. Where the file system cannot
// take space beforehand, f becomes sparse.
func allocate(f *os.File, size int64) error {
	var err error
	for range maxInterrupts {
		if err = unix.Fallocate(int(f.Fd()), 0, 0, size); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINTR) {
		return f.Truncate(size)
	}
	if err != nil {
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
	return nil
}

// maxInterrupts bounds how often an allocation that a signal interrupted is
// tried again: some file systems start from the beginning each time.
const maxInterrupts = 100

// flushData returns once f's bytes, and what is needed to read them, are on
// disk.
func flushData(f *os.File) error {
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}
