package assemble

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A file that CopyIn is writing is called ".NAME.vidsync-copy-DIGITS.part", and
// locked.
const copyInfix = ".vidsync-copy-"

// copyName is a new name for an unfinished copy of a file of that name.
func copyName(name string) string {
	return fit("."+name, fmt.Sprintf("%s%d%s", copyInfix, rand.Uint64(), partSuffix))
}

// isCopyName tells whether CopyIn gives its unfinished files such names.
func isCopyName(name string) bool {
	i := strings.LastIndex(name, copyInfix)
	if i < 1 || name[0] != '.' {
		return false
	}
	digits, ok := strings.CutSuffix(name[i+len(copyInfix):], partSuffix)
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// Sweep removes from a folder the unfinished copies that a CopyIn left which
// was killed, and returns their paths. One that a process is still writing
// stays. A missing folder has none.
func Sweep(dir string) (removed []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var errs []error
	for _, e := range entries {
		if !isCopyName(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		switch err := removeStale(path); {
		case err == nil:
			removed = append(removed, path)
		case !errors.Is(err, errLocked) && !errors.Is(err, fs.ErrNotExist):
			errs = append(errs, err)
		}
	}
	return removed, errors.Join(errs...)
}

// removeStale removes a file unless somebody has it locked: errLocked.
func removeStale(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	err = lockNew(f)
	if err == nil {
		err = os.Remove(path)
	}
	return errors.Join(err, closeLocked(f))
}
