package assemble

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/blockstore"
)

// The reserve is a share of the file system. The one that the index lies on
// keeps all of maxReserve free: the index takes no writes on a disk with less
// than about 48 MiB.
const (
	maxReserve     = 64 << 20
	reservePercent = 1
)

// ErrNoSpace is returned when a video does not fit. The text names the folder,
// the bytes needed and the bytes free. Once there is room, the same call, or a
// new Open, goes on.
var ErrNoSpace = errors.New("not enough space")

const spaceRemedy = "make room or choose another folder"

// checkSpace is checkSpace of the video's folder.
func (f *File) checkSpace(need int64) error {
	reserve := f.cfg.Reserve
	if reserve == 0 && sameDevice(f.target.Dir, f.store.Dir()) {
		reserve = maxReserve
	}
	return checkSpace(f.disk, f.target.Dir, need, reserve)
}

// sameDevice tells whether two folders are known to lie on one file system.
func sameDevice(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	return errA == nil && errB == nil && blockstore.StampOf(x).Device == blockstore.StampOf(y).Device
}

// checkSpace returns ErrNoSpace unless the folder's file system has need bytes
// and the reserve free.
func checkSpace(d disk, dir string, need, reserve int64) error {
	free, total, err := d.Free(dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if reserve == 0 {
		reserve = min(maxReserve, total/100*reservePercent)
	}
	reserve = max(reserve, 0)
	if need > 0 && free-reserve < need {
		return fmt.Errorf("%w in %s: %d bytes needed and %d kept in reserve, %d free; %s", ErrNoSpace, dir, need, reserve, free, spaceRemedy)
	}
	return nil
}

func (f *File) spaceError(err error, need int64) error {
	return spaceError(f.disk, err, f.target.Dir, need)
}

// spaceError turns a full disk or quota, met while writing in dir with need
// bytes to come, into ErrNoSpace. Other errors name their file already.
func spaceError(d disk, err error, dir string, need int64) error {
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	free, _, statErr := d.Free(dir)
	if statErr != nil {
		return fmt.Errorf("%w in %s: %d bytes needed; %s: %w", ErrNoSpace, dir, need, spaceRemedy, err)
	}
	return fmt.Errorf("%w in %s: %d bytes needed, %d free; %s: %w", ErrNoSpace, dir, need, free, spaceRemedy, err)
}
