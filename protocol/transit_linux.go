package protocol

import "golang.org/x/sys/unix"

// unacknowledged is how many of the bytes sent the other end has not
// acknowledged; all of them if that is not known.
func unacknowledged(fd uintptr, sent int64) int64 {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	if err != nil {
		return sent
	}
	return int64(n)
}
