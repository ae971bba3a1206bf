package main

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// onDisk is the space that a file takes.
func onDisk(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

// mountSmall mounts a file system of so many bytes at dir.
func mountSmall(dir string, size int64) (unmount func() error, err error) {
	if os.Geteuid() != 0 {
		return nil, &leftOut{"only root mounts a small file system"}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		return nil, &leftOut{fmt.Sprintf("a small file system cannot be mounted here: %v", err)}
	}
	return func() error { return syscall.Unmount(dir, syscall.MNT_DETACH) }, nil
}
