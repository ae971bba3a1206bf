package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// memoryOf is what a running process has, in bytes: "VmRSS" for what is in
// memory now, "VmHWM" for the most there ever was. 0 where the system does not
// tell.
func memoryOf(pid int, what string) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		rest, ok := strings.CutPrefix(line, what+":")
		if !ok {
			continue
		}
		kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		return kib << 10
	}
	return 0
}
