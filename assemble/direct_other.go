//go:build !linux

package assemble

import "os"

// openDirect returns nil: this system has no writes past the page cache.
func openDirect(*os.File) (*os.File, error) { return nil, nil }

func directRefused(error) bool { return true }
