package hook

import (
	"os/exec"
	"syscall"
)

// isolate gives the program its own process group and has the kernel kill it when
// the thread that starts it dies, so that not even kill -9 leaves one behind that
// would run beside the next attempt.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
