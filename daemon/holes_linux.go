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
