package protocol

import "golang.org/x/sys/unix"

// limitSilence bounds how long what was sent may go unacknowledged.
func limitSilence(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadAfter.Milliseconds()))
}
