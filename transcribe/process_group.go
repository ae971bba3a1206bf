package transcribe

import "syscall"

// lowestPriority is the nicest a process can be.
const lowestPriority = 19

// killGroup kills a program and all it started that stayed in its process group.
func killGroup(pid int) error {
	return syscall.Kill(-pid, syscall.SIGKILL)
}
