package rig

import "syscall"

// apart keeps a process from the terminal's ^C, for it is ended in order, and
// ends it if this program is killed.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
