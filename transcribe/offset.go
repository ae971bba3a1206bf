package transcribe

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Offset is a place in a video's own time, in whole milliseconds from its start.
// JSON carries it as seconds with three decimals, as transcription servers do.
type Offset int64

// maxOffset is the latest place accepted from outside: 1,000 hours.
const maxOffset = Offset(1000 * time.Hour / time.Millisecond)

// Duration is the offset as Go counts time.
func (o Offset) Duration() time.Duration { return time.Duration(o) * time.Millisecond }

// MarshalJSON writes seconds with three decimals.
func (o Offset) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%d.%03d", o/1000, o%1000), nil
}

// UnmarshalJSON reads seconds, rounds them to milliseconds and limits them to
// 0 … 1,000 hours.
func (o *Offset) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	seconds, err := strconv.ParseFloat(string(data), 64)
	if err != nil {
		return fmt.Errorf("time %.20q is no number of seconds", data)
	}
	*o = offsetOf(seconds)
	return nil
}

// offsetOf rounds seconds to an Offset between 0 and maxOffset; NaN is 0.
func offsetOf(seconds float64) Offset {
	ms := math.Round(seconds * 1000)
	switch {
	case ms >= float64(maxOffset):
		return maxOffset
	case ms > 0:
		return Offset(ms)
	}
	return 0
}

// clock splits an offset for subtitle times; hours have no limit.
func (o Offset) clock() (hours, minutes, seconds, millis int64) {
	ms := int64(o)
	return ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000
}
