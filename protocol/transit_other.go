//go:build !linux

package protocol

// unacknowledged says that nothing is known: all of what was sent may be under
// way, and nothing of it counts as progress.
func unacknowledged(_ uintptr, sent int64) int64 { return sent }
