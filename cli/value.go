package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"
)

// durationFlag is a length of time above zero. Besides Go's units it takes days.
type durationFlag time.Duration

func (d *durationFlag) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

func (d *durationFlag) Type() string { return "duration" }

func (d *durationFlag) Set(text string) error {
	v, err := parseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a duration; write it like 90s, 5m, 2h30m or 7d", text)
	}
	if v <= 0 {
		return fmt.Errorf("%q is not above zero", text)
	}
	*d = durationFlag(v)
	return nil
}

func parseDuration(text string) (time.Duration, error) {
	days, ok := strings.CutSuffix(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseFloat(days, 64)
	if err != nil || n > 36500 { // a century; also keeps it within int64
		return 0, fmt.Errorf("parse days %q", days)
	}
	return time.Duration(n * float64(24*time.Hour)), nil
}

// bytesFlag is a number of bytes, 0 or more.
type bytesFlag int64

func (b *bytesFlag) String() string { return strconv.FormatInt(int64(*b), 10) }
func (b *bytesFlag) Type() string   { return "bytes" }

func (b *bytesFlag) Set(text string) error {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		*b = bytesFlag(n)
		return nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n > 1<<62 {
		return fmt.Errorf("%q is not a number of bytes; write it like 1048576, 10MB or 1MiB", text)
	}
	*b = bytesFlag(n)
	return nil
}

// causeOf is what is wrong with a value, without the flag's name around it.
func causeOf(err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return flagCause(e)
	}
	return err
}
