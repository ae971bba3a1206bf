package api

import "net"

// peerUID is the user at the other end of a Unix socket, as the kernel saw him
// connect.
func peerUID(conn *net.UnixConn) (uid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credErr error
	if err := raw.Control(func(fd uintptr) { uid, credErr = socketUID(int(fd)) }); err != nil {
		return 0, err
	}
	return uid, credErr
}
