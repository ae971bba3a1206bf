package watch

import (
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// Identity is what tells files and their states apart without reading them.
type Identity struct {
	Size       int64  // in bytes
	ModTime    int64  // of the content, in nanoseconds since 1970, by whoever set it
	ChangeTime int64  // of the content or the inode, in nanoseconds since 1970
	Inode      uint64 // on Device
	Device     uint64
}

// SameFile tells whether both are the same file with, as far as can be seen, the
// same content. Change times are not compared: renaming sets them.
func (id Identity) SameFile(other Identity) bool {
	other.ChangeTime = id.ChangeTime
	return id == other
}

// inode names a file of a file system, whatever its content and path.
type inode struct{ device, number uint64 }

func (id Identity) inode() inode { return inode{id.Device, id.Inode} }

func identityOf(st *unix.Stat_t) Identity {
	return Identity{
		Size:       st.Size,
		ModTime:    st.Mtim.Nano(),
		ChangeTime: st.Ctim.Nano(),
		Inode:      st.Ino,
		Device:     uint64(st.Dev),
	}
}

// lstat looks at what path names without following it.
func lstat(path string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := ignoringEINTR(func() error { return unix.Lstat(path, &st) })
	return st, err
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func isRegular(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFREG }
func isFolder(st *unix.Stat_t) bool  { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

// isAbsent tells whether err means that nothing is there, and not that it could
// not be looked at.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// isShortage tells whether err speaks of this process or machine and not of the
// file it was about.
func isShortage(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}
