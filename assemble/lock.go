package assemble

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// errLocked is returned for a file that another process is writing.
var errLocked = errors.New("it is locked")

// lockFile takes the lock that says that f is being written; it goes with the
// handle, so a process that was killed has none. Where there are no locks,
// every file passes as unlocked.
func lockFile(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	return nil
}

// closeLocked unlocks and closes a file. A child process that is just being
// started has the handle as well until it runs, and would keep the lock.
func closeLocked(f *os.File) error {
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	return f.Close()
}

// lockNew locks a file just made or found and makes sure that nobody removed it
// before: then its name belongs to another file, or to none.
func lockNew(f *os.File) error {
	if err := lockFile(f); err != nil {
		return err
	}
	named, err := os.Lstat(f.Name())
	if err != nil {
		return err
	}
	open, err := f.Stat()
	if err == nil && !os.SameFile(named, open) {
		err = errLocked
	}
	return err
}

// lockPart locks the part file of a receipt.
func lockPart(part *os.File) error {
	if err := lockFile(part); err != nil {
		return &DiskError{
			Path: part.Name(), Problem: "another process is writing this part file",
			Remedy: "end it, or wait for it", Err: err,
		}
	}
	return nil
}
