package assemble

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// reflink makes n bytes of dst share the disk space of src, where the file
// system can do that.
func reflink(dst *os.File, dstOffset int64, src *os.File, srcOffset, n int64) error {
	return unix.IoctlFileCloneRange(int(dst.Fd()), &unix.FileCloneRange{
		Src_fd:      int64(src.Fd()),
		Src_offset:  uint64(srcOffset),
		Src_length:  uint64(n),
		Dest_offset: uint64(dstOffset),
	})
}

// copyRange copies n bytes inside the kernel, or inside the server of a network
// file system.
func copyRange(dst *os.File, dstOffset int64, src *os.File, srcOffset, n int64) error {
	for n > 0 { // at 0 some file systems would copy to the end
		done, err := unix.CopyFileRange(int(src.Fd()), &srcOffset, int(dst.Fd()), &dstOffset, int(n), 0)
		if err != nil {
			return err
		}
		if done == 0 {
			return io.ErrUnexpectedEOF
		}
		n -= int64(done)
	}
	return nil
}

// isHole tells whether n bytes at offset were never written.
func isHole(f *os.File, offset, n int64) bool {
	data, err := unix.Seek(int(f.Fd()), offset, unix.SEEK_DATA)
	return errors.Is(err, unix.ENXIO) || err == nil && data >= offset+n
}

// hasHole tells whether any of n bytes at offset were never written.
func hasHole(f *os.File, offset, n int64) bool {
	hole, err := unix.Seek(int(f.Fd()), offset, unix.SEEK_HOLE)
	return errors.Is(err, unix.ENXIO) || err == nil && hole < offset+n
}
