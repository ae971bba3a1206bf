//go:build !linux

package daemon

// totalMemory is a careful guess at the machine's memory in bytes.
func totalMemory() int64 { return 4 << 30 }
