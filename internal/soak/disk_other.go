//go:build !linux

package main

import "io/fs"

// onDisk is the size of a file; what space it takes is not asked here.
func onDisk(info fs.FileInfo) int64 { return info.Size() }

// mountSmall mounts a file system of so many bytes at dir.
func mountSmall(string, int64) (unmount func() error, err error) {
	return nil, &leftOut{"small file systems are mounted on Linux only"}
}
