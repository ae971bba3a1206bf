package blockstore

import (
	"fmt"
	"syscall"
)

// Free bytes that the index's file system must have before a write. A normal
// write leaves enough for compaction and for removals; opening, closing and
// removing need less.
const (
	writeReserve = 48 << 20
	openReserve  = 24 << 20
)

// checkRoom returns an error wrapping ENOSPC when fewer than reserve bytes are
// free at dir.
func checkRoom(dir string, reserve uint64) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if free := uint64(st.Bavail) * uint64(st.Bsize); free < reserve {
		return fmt.Errorf("index %s: %d MiB free, %d MiB needed: %w", dir, free>>20, reserve>>20, syscall.ENOSPC)
	}
	return nil
}
