package cli

import (
	"fmt"
	"math"
	"time"

	"github.com/dustin/go-humanize"
)

// size is a number of bytes for people.
func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// rate is a speed in bytes a second for people.
func rate(perSecond float64) string {
	if math.IsNaN(perSecond) || perSecond < 0 {
		perSecond = 0
	}
	return size(int64(min(perSecond, math.MaxInt64/2))) + "/s"
}

// span is a length of time in its two greatest units: 42s, 3m12s, 2h05m, 3d04h.
func span(d time.Duration) string {
	s := int64(max(d, 0).Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/(24*3600), s/3600%24)
}

// seconds is a number of seconds as a length of time; at most some years.
func seconds(s float64) time.Duration {
	const limit = 1e9
	return time.Duration(min(max(s, 0), limit) * float64(time.Second))
}

// clock is a position in a recording: 7:05, 1:02:03.
func clock(ms int64) string {
	s := max(ms, 0) / 1000
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// percent is the share of done in size, from 0 to 100. It is rounded down: 100
// is whole.
func percent(done, size int64) int {
	if size <= 0 {
		return 0
	}
	return int(min(max(float64(done)/float64(size), 0), 1) * 100)
}

// date is a time for people, in their zone; "-" if there is none.
func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}
