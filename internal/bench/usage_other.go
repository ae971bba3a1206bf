//go:build !linux

package main

import (
	"fmt"
	"math"
	"runtime"
)

// usageOf is not known here: there is no /proc.
func usageOf(int) usage { return usage{math.NaN(), math.NaN(), math.NaN()} }

// hostFacts says what the figures were measured on.
func hostFacts() []string {
	return []string{fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())}
}
