package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// createDirect opens a new file for writes past the page cache, or through it
// where the file system refuses that.
func createDirect(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC|unix.O_DIRECT, 0o600)
	if errors.Is(err, unix.EINVAL) {
		return os.Create(path)
	}
	return f, err
}

func preallocate(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return f.Truncate(size)
	}
	return err
}

func flushData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
