package assemble

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/vidsync/vidsync/blockstore"
)

// DiskError is trouble with the disk under a folder that only a person can end.
// Nothing is lost by it that a receipt covers: once it is over, a new Open goes
// on. A full disk is ErrNoSpace instead.
type DiskError struct {
	Path    string // the folder or file that cannot be used
	Problem string // what is wrong, for a person
	Remedy  string // what helps, for a person
	Err     error  // what the system said, of which file
}

func (e *DiskError) Error() string {
	return fmt.Sprintf("%s: %s; %s: %v", e.Path, e.Problem, e.Remedy, e.Err)
}

// Unwrap returns what the system said.
func (e *DiskError) Unwrap() error { return e.Err }

// troubles are what a disk can have, the most telling first.
var troubles = []struct {
	problem, remedy string
	codes           []syscall.Errno
}{
	{"the file system is read-only", "make it writable or choose another folder", []syscall.Errno{syscall.EROFS}},
	{"the disk reports an error", "check the disk and its connection, or choose another folder", diskCodes},
	{"writing here is not allowed", "change the owner or the mode, or choose another folder", []syscall.Errno{syscall.EACCES, syscall.EPERM}},
	{"too many files are open", "raise the limit of open files (ulimit -n)", []syscall.Errno{syscall.EMFILE, syscall.ENFILE}},
	{"the folder, or the part file in it, is gone", "bring it or its disk back; the fetch goes on with what is left", []syscall.Errno{syscall.ENOENT}},
}

// explain turns what the system said while path was written to into a
// DiskError. Errors of other kinds, and those explained already, stay.
func explain(err error, path string) error {
	if _, done := errors.AsType[*DiskError](err); done || err == nil || errors.Is(err, ErrNoSpace) {
		return err
	}
	for _, t := range troubles {
		for _, code := range t.codes {
			if errors.Is(err, code) {
				return &DiskError{Path: path, Problem: t.problem, Remedy: t.remedy, Err: err}
			}
		}
	}
	return err
}

// checkMounted returns a DiskError if the video goes to the folder that its
// receipt speaks of, and the file system that has the part file is away. To
// start over would give up what is there, and fill the disk under the mount
// point.
func (f *File) checkMounted(r *blockstore.Receipt) error {
	if r == nil || len(r.Masks) == 0 || filepath.Dir(r.Final) != f.target.Dir {
		return nil
	}
	_, err := os.Lstat(r.Part)
	if !errors.Is(err, fs.ErrNotExist) {
		return nil // what it is shows later
	}
	above, statErr := nearest(filepath.Dir(r.Part))
	if statErr != nil || blockstore.StampOf(above).Device == r.Device {
		return statErr
	}
	if final, err := os.Lstat(r.Final); err == nil && blockstore.StampOf(final).Inode == r.Inode {
		return nil // renamed across folders
	}
	return &DiskError{
		Path: r.Part, Problem: "its file system is not mounted",
		Remedy: "mount it, or fetch into another folder to start over", Err: err,
	}
}

// nearest is the folder, or the lowest above it that exists.
func nearest(dir string) (fs.FileInfo, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		return nearest(filepath.Dir(dir))
	}
	return info, err
}
