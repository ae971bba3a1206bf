package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// ticksPerSecond is the unit of /proc/PID/stat, the same on every Linux.
const ticksPerSecond = 100

// usageOf asks /proc about a process.
func usageOf(pid int) usage {
	u := usage{math.NaN(), math.NaN(), math.NaN()}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name may have spaces
	if fields := strings.Fields(after); len(fields) > 12 {
		user, err1 := strconv.ParseFloat(fields[11], 64)
		system, err2 := strconv.ParseFloat(fields[12], 64)
		if err1 == nil && err2 == nil {
			u.cpu = (user + system) / ticksPerSecond
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u
	}
	u.resident = kibibytes(string(status), "VmRSS:")
	u.peak = kibibytes(string(status), "VmHWM:")
	return u
}

// kibibytes reads a line such as "VmRSS:   1234 kB", as MiB.
func kibibytes(text, name string) float64 {
	_, after, ok := strings.Cut(text, name)
	if !ok {
		return math.NaN()
	}
	n, err := strconv.ParseFloat(strings.Fields(after)[0], 64)
	if err != nil {
		return math.NaN()
	}
	return n / 1024
}

// hostFacts says what the figures were measured on.
func hostFacts() []string {
	facts := []string{fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, ok := strings.Cut(string(info), "model name"); ok {
			model, _, _ := strings.Cut(after, "\n")
			facts[0] += ", " + strings.TrimLeft(model, "\t :")
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		facts = append(facts, "load average at the end: "+strings.Join(strings.Fields(string(load))[:3], " "))
	}
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err == nil {
		facts = append(facts, fmt.Sprintf("memory: %d MiB", uint64(info.Totalram)*uint64(info.Unit)/mib))
	}
	return facts
}
