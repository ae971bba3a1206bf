package daemon

import "golang.org/x/sys/unix"

// renameExclusive fails with EEXIST if there is anything at to.
func renameExclusive(dir int, from, to string) error {
	err := unix.Renameat2(dir, from, dir, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS { // a network file system, as a rule
		return linkExclusive(dir, from, to)
	}
	return err
}

// leaseAgainstWriters takes a read lease, which the kernel grants only if nobody
// on this machine has the file open for writing. Who wants to then waits until
// the lease is given back. It is not granted for files of other users, nor on
// some file systems.
func leaseAgainstWriters(fd int) (granted bool, err error) {
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK)
	if err == unix.EAGAIN {
		return false, errInUse
	}
	return err == nil, nil
}

// leaseHeld tells whether a lease still is there and nobody waits for its end.
func leaseHeld(fd int) bool {
	kind, err := unix.FcntlInt(uintptr(fd), unix.F_GETLEASE, 0)
	return err == nil && kind == unix.F_RDLCK
}
