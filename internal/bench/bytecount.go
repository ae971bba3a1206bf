package main

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	mib = 1 << 20
	gib = 1 << 30
	tib = 1 << 40
)

// byteCount is a number of bytes on the command line: 1048576, 1M, 4G.
type byteCount int64

func (c *byteCount) String() string { return strconv.FormatInt(int64(*c), 10) }

// Set implements flag.Value.
func (c *byteCount) Set(text string) error {
	digits := strings.TrimRight(text, "KMGTiB")
	unit := int64(1)
	switch strings.TrimSuffix(strings.TrimSuffix(text[len(digits):], "B"), "i") {
	case "":
	case "K":
		unit = 1 << 10
	case "M":
		unit = mib
	case "G":
		unit = gib
	case "T":
		unit = tib
	default:
		return fmt.Errorf("%q: want a number with K, M, G or T", text)
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if unit == 1 {
		n, err = strconv.ParseInt(digits, 10, 64)
	}
	if err != nil {
		return err
	}
	*c = byteCount(n * unit)
	return nil
}
