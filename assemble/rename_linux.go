package assemble

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameExclusive renames old to path and fails with fs.ErrExist if there is
// anything at path.
func renameExclusive(old, path string) error {
	err := unix.Renameat2(unix.AT_FDCWD, old, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return linkExclusive(old, path) // a network file system, as a rule
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: old, New: path, Err: err}
	}
	return nil
}
