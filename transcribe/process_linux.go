package transcribe

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// isolate gives the program its own process group and has the kernel kill it when
// the thread that starts it dies, so that not even kill -9 leaves one behind.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// lowerPriority makes the program yield to everything else, and be the first to go
// when memory runs out. Both are wishes: a refusal changes nothing else.
func lowerPriority(pid int) {
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, pid, lowestPriority)
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("800"), 0)
}
