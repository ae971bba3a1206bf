//go:build !linux

package transcribe

import (
	"os/exec"
	"syscall"
)

// isolate gives the program its own process group.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// lowerPriority makes the program yield to everything else. It is a wish: a refusal
// changes nothing else.
func lowerPriority(pid int) {
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, pid, lowestPriority)
}
