package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/blockstore"
)

const (
	// asideEnding ends the hidden name of a file that is about to be removed.
	asideEnding = ".vidsync-remove"
	// untoldQuiet is how long a file must be unchanged to be removed where the
	// system does not tell whether somebody writes to it.
	untoldQuiet = time.Hour
	// maxFreeNames is how many names are tried for a file whose own is taken.
	maxFreeNames = 1000
)

var (
	errInUse     = errors.New("somebody has it open for writing")
	errNotQuiet  = errors.New("whether somebody has it open for writing is not known, and it was changed in the last hour")
	errNotAsWas  = fmt.Errorf("the file is not what was added: %w", blockstore.ErrChanged)
	errNameTaken = fmt.Errorf("no free name is left: %w", fs.ErrExist)
)

// outgoing is a file on its way out. Everything is done relative to its folder,
// which stays open, and against its inode, which does too: whatever is renamed
// meanwhile, no other file is touched. The owner must close it.
type outgoing struct {
	path   string
	dir    *os.File
	file   *os.File
	stamp  blockstore.Stamp // once it is aside, as it was then
	leased bool             // the kernel tells of writers until close
	hidden string           // its name while it is aside, else ""
}

// openOutgoing opens the file at path, which must be the one with that stamp. A
// file that somebody has open for writing is errInUse.
func openOutgoing(path string, stamp blockstore.Stamp) (*outgoing, error) {
	dir, err := os.OpenFile(filepath.Dir(path), os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	o := &outgoing{path: path, dir: dir, stamp: stamp}
	if err := o.open(); err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

func (o *outgoing) open() error {
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW | unix.O_CLOEXEC
	var fd int
	err := interrupted(func() (err error) {
		fd, err = unix.Openat(o.dirFD(), filepath.Base(o.path), flags, 0)
		return err
	})
	if errors.Is(err, syscall.ELOOP) { // a link
		return errNotAsWas
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: o.path, Err: err}
	}
	o.file = os.NewFile(uintptr(fd), o.path)
	if o.leased, err = leaseAgainstWriters(fd); err != nil {
		return err
	}
	if !o.leased && time.Since(time.Unix(0, o.stamp.ChangeTime)) < untoldQuiet {
		return errNotQuiet
	}
	return o.unchanged()
}

// unchanged makes sure that the file is as its stamp says, that its name still
// means it, and that nobody wants to write to it.
func (o *outgoing) unchanged() error {
	info, err := o.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || blockstore.StampOf(info) != o.stamp {
		return errNotAsWas
	}
	if o.leased && !leaseHeld(int(o.file.Fd())) {
		return errInUse
	}
	return o.isAt(o.name())
}

// name is what the file is called now.
func (o *outgoing) name() string {
	if o.hidden != "" {
		return o.hidden
	}
	return filepath.Base(o.path)
}

// isAt makes sure that a name in the folder means the file.
func (o *outgoing) isAt(name string) error {
	var st unix.Stat_t
	err := interrupted(func() error { return unix.Fstatat(o.dirFD(), name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return &fs.PathError{Op: "stat", Path: o.path, Err: err}
	}
	if st.Ino != o.stamp.Inode || uint64(st.Dev) != o.stamp.Device {
		return errNotAsWas
	}
	return nil
}

// asideName is the hidden name that the file of a path gets.
func asideName(path string) string {
	return "." + shorten(filepath.Base(path)) + asideEnding
}

// setAside gives the file its hidden name, which nothing else may have. If that
// turns out to be another file it gets its name back.
func (o *outgoing) setAside() error {
	hidden := asideName(o.path)
	if err := o.rename(filepath.Base(o.path), hidden); err != nil {
		return err
	}
	o.hidden = hidden
	err := o.isAt(hidden)
	if err == nil {
		err = o.takeStamp()
	}
	return err
}

// takeStamp takes over the change time, which renaming has set, and no other
// change.
func (o *outgoing) takeStamp() error {
	info, err := o.file.Stat()
	if err != nil {
		return err
	}
	now := blockstore.StampOf(info)
	if !sameFile(now, o.stamp) {
		return errNotAsWas
	}
	o.stamp = now
	return nil
}

// putBack gives a file that is aside its name again, or, if something else has
// that now, one with a number. It returns the path and syncs the folder.
func (o *outgoing) putBack() (path string, err error) {
	base := filepath.Base(o.path)
	for i := range maxFreeNames {
		name := base
		if i > 0 {
			ext := filepath.Ext(base)
			name = fmt.Sprintf("%s (%d)%s", base[:len(base)-len(ext)], i+1, ext)
		}
		err := o.rename(o.hidden, name)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		o.hidden = ""
		return filepath.Join(filepath.Dir(o.path), name), errors.Join(syncFolder(o.dir), o.takeStamp())
	}
	return "", errNameTaken
}

// unlink deletes the file, which must be aside, and syncs its folder.
func (o *outgoing) unlink() error {
	err := interrupted(func() error { return unix.Unlinkat(o.dirFD(), o.hidden, 0) })
	if err != nil {
		return &fs.PathError{Op: "remove", Path: o.path, Err: err}
	}
	return syncFolder(o.dir)
}

// rename never replaces anything: that is fs.ErrExist.
func (o *outgoing) rename(from, to string) error {
	err := interrupted(func() error { return renameExclusive(o.dirFD(), from, to) })
	if err != nil {
		return &fs.PathError{Op: "rename", Path: o.path, Err: err}
	}
	return nil
}

// linkExclusive is how a file is renamed where a rename always replaces.
func linkExclusive(dir int, from, to string) error {
	if err := unix.Linkat(dir, from, dir, to, 0); err != nil {
		return err
	}
	return unix.Unlinkat(dir, from, 0)
}

func (o *outgoing) dirFD() int { return int(o.dir.Fd()) }

func (o *outgoing) close() {
	if o.file != nil {
		_ = o.file.Close() // only read; gives the lease back
	}
	_ = o.dir.Close() // only read
}

// syncFolder brings names to the disk, where the file system can.
func syncFolder(dir *os.File) error {
	err := dir.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}

func interrupted(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}
