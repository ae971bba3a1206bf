package main

import (
	"math"
	"syscall"
	"time"
)

// usage is what a process has used. What the system does not tell is NaN.
type usage struct {
	cpu            float64 // seconds
	resident, peak float64 // MiB
}

// meter measures the time, and the processor time of some processes, from its
// start on.
type meter struct {
	started time.Time
	own     bool // this process counts
	pids    []int
	before  float64
}

// startMeter begins to measure. own tells whether this process counts beside
// the others.
func startMeter(own bool, pids ...int) meter {
	m := meter{own: own, pids: pids}
	m.before = m.cpu()
	m.started = time.Now()
	return m
}

func (m *meter) cpu() float64 {
	total := 0.0
	if m.own {
		total = ownCPU()
	}
	for _, pid := range m.pids {
		total += usageOf(pid).cpu
	}
	return total
}

// read returns what was used since the start, in seconds.
func (m *meter) read() (wall, cpu float64) {
	wall = time.Since(m.started).Seconds()
	return wall, m.cpu() - m.before
}

// ownCPU is the processor time of this process, in seconds.
func ownCPU() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return math.NaN()
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// rates are the two figures that every way of moving bytes has.
func rates(size int64, wall, cpu float64) []figure {
	return known(
		figure{"rate", "MB/s", float64(size) / 1e6 / wall},
		figure{"CPU", "s/GB", cpu / (float64(size) / 1e9)},
	)
}

// known leaves out figures that this system does not tell.
func known(figures ...figure) []figure {
	var out []figure
	for _, f := range figures {
		if !math.IsNaN(f.value) {
			out = append(out, f)
		}
	}
	return out
}
