package blockstore

import (
	"fmt"
	"io/fs"
	"syscall"
)

// Stamp is what tells whether a file is still the one that was added. Two
// equal stamps of a path mean the same bytes, as far as the file system's clock
// can tell.
type Stamp struct {
	Size       int64  // in bytes
	ModTime    int64  // of the content, in nanoseconds since 1970
	ChangeTime int64  // of the content or the inode, in nanoseconds since 1970
	Inode      uint64 // on Device
	Device     uint64
}

// StampOf returns the stamp in info, which must come from os.Stat or
// os.File.Stat.
func StampOf(info fs.FileInfo) Stamp {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Stamp{Size: info.Size(), ModTime: info.ModTime().UnixNano()}
	}
	return stampOf(st)
}

func stampOf(st *syscall.Stat_t) Stamp {
	return Stamp{
		Size:       st.Size,
		ModTime:    modTime(st),
		ChangeTime: changeTime(st),
		Inode:      st.Ino,
		Device:     uint64(st.Dev),
	}
}

// stampAt is the stamp of what path names now.
func stampAt(path string) (Stamp, error) {
	var st syscall.Stat_t
	if err := ignoringEINTR(func() error { return syscall.Stat(path, &st) }); err != nil {
		return Stamp{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return stampOf(&st), nil
}

// checkStamp returns ErrChanged unless path names what want was taken of.
func checkStamp(path string, want Stamp) error {
	now, err := stampAt(path)
	if err != nil {
		return err
	}
	if now != want {
		return changed(path)
	}
	return nil
}

func changed(path string) error { return fmt.Errorf("%s: %w", path, ErrChanged) }

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}
