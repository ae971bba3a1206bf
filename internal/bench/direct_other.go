//go:build !linux

package main

import "os"

// createDirect opens a new file. Here all writes go through the page cache.
func createDirect(path string) (*os.File, error) { return os.Create(path) }

func preallocate(f *os.File, size int64) error { return f.Truncate(size) }

func flushData(f *os.File) error { return f.Sync() }
