package assemble

import (
	"errors"
	"os"

	"github.com/ipfs/go-cid"
	"golang.org/x/sys/unix"
)

// markName is the extended attribute that a part file carries: the CID of its
// video or, over all versions of a recording, the name of that. A file system
// may give the inode number of a removed file to the next
// one, so the number alone does not prove that a file is ours. Where there are
// no attributes it has to do.
const markName = "user.vidsync.part"

// maxMark is the longest mark in bytes; no video's CID is as long, nor is a
// recording's name.
const maxMark = 128

// markText is the mark of a part file. No CID begins like that of a recording.
func markText(video cid.Cid, recording string) string {
	if recording == "" {
		return video.String()
	}
	return "recording " + recording
}

// mark is what the part file of f is to carry.
func (f *File) mark() string { return markText(f.video.CID(), f.recording) }

// remark gives a part file that was begun as another fetch the mark of f,
// durably.
func (f *File) remark(part *os.File) error {
	if f.recording == "" || hasMark(part, f.mark()) {
		return nil
	}
	if err := f.disk.Mark(part, f.mark()); err != nil {
		return err
	}
	return f.disk.Sync(part)
}

func setMark(f *os.File, text string) error {
	err := unix.Fsetxattr(int(f.Fd()), markName, []byte(text), 0)
	if err != nil && !unmarkable(err) {
		return &os.PathError{Op: "setxattr", Path: f.Name(), Err: err}
	}
	return nil
}

// clearMark takes the mark away; it does no harm where it stays.
func clearMark(f *os.File) { _ = unix.Fremovexattr(int(f.Fd()), markName) }

// hasMark tells whether f carries the mark, or cannot carry any.
func hasMark(f *os.File, text string) bool {
	mark, err := readMark(f)
	if err != nil {
		return unmarkable(err)
	}
	return mark == text
}

// markOf is the mark that f carries; empty if none.
func markOf(f *os.File) string {
	mark, err := readMark(f)
	if err != nil {
		return ""
	}
	return mark
}

func readMark(f *os.File) (string, error) {
	var buf [maxMark]byte
	n, err := unix.Fgetxattr(int(f.Fd()), markName, buf[:])
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

func unmarkable(err error) bool {
	return errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM)
}
