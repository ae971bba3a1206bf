package assemble

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	maxReserve     = 64 << 20
	reservePercent = 1
)

// ErrNoSpace is returned when a video does not fit. The text names the folder,
// the bytes needed and the bytes free. Once there is room, the same call, or a
// new Open, goes on.
var ErrNoSpace = errors.New("not enough space")

// checkSpace returns ErrNoSpace unless the folder's file system has need bytes
// and the reserve free.
func checkSpace(dir string, need, reserve int64) error {
	free, total, err := freeSpace(dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if reserve == 0 {
		reserve = min(maxReserve, total/100*reservePercent)
	}
	reserve = max(reserve, 0)
	if need > 0 && free-reserve < need {
		return fmt.Errorf("%w in %s: %d bytes needed and %d kept in reserve, %d free", ErrNoSpace, dir, need, reserve, free)
	}
	return nil
}

// spaceError turns a full disk or quota, met while writing in dir with need
// bytes to come, into ErrNoSpace. Other errors name their file already.
func spaceError(err error, dir string, need int64) error {
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	free, _, statErr := freeSpace(dir)
	if statErr != nil {
		return fmt.Errorf("%w in %s: %d bytes needed: %w", ErrNoSpace, dir, need, err)
	}
	return fmt.Errorf("%w in %s: %d bytes needed, %d free: %w", ErrNoSpace, dir, need, free, err)
}
