package watch

import "golang.org/x/sys/unix"

// writerOf tells whether somebody on this machine has the file open for
// writing: the kernel grants a read lease only if nobody has. The lease is given
// back at once; who opens the file for writing just then waits for that.
// It needs to be our file, or CAP_LEASE.
func writerOf(path string) writer {
	fd := -1
	err := ignoringEINTR(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err == unix.EWOULDBLOCK { // somebody has a write lease
		return writerOpen
	}
	if err != nil {
		return writerUnknown
	}
	defer func() { _ = unix.Close(fd) }()
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK)
	if err == unix.EAGAIN {
		return writerOpen
	}
	if err != nil {
		return writerUnknown
	}
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK) // closing gives it back as well
	return writerNone
}
