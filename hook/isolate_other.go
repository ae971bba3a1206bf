//go:build !linux

package hook

import (
	"os/exec"
	"syscall"
)

// isolate gives the program its own process group.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
