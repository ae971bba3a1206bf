package daemon

import (
	"os"

	"golang.org/x/sys/unix"
)

// holes returns a function that tells whether a range of the file is a hole,
// which reads as zeros. Where the file system cannot tell, nothing is.
func holes(f *os.File) func(offset, n int64) bool {
	return func(offset, n int64) bool {
		data, err := unix.Seek(int(f.Fd()), offset, unix.SEEK_DATA)
		if err == unix.ENXIO {
			return true // no data from here to the end
		}
		return err == nil && data >= offset+n
	}
}

// writtenEnd is where the bytes that were ever written end, as far as they go on
// from an offset without a hole: a recorder may take room for the whole file first.
func writtenEnd(f *os.File, from, size int64) int64 {
	hole, err := unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE)
	if err != nil {
		return size // the file system cannot tell
	}
	return min(hole, size)
}
