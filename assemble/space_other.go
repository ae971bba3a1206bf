//go:build !linux

package assemble

import (
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
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), nil
}

// allocate gives f its size; the file is sparse.
func allocate(f *os.File, size int64) error { return f.Truncate(size) }

// flushData returns once f's bytes are on disk.
func flushData(f *os.File) error { return f.Sync() }
