package api

import "golang.org/x/sys/unix"

// socketUID asks the kernel who is at the other end of a Unix socket.
func socketUID(fd int) (int, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}
