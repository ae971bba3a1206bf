package daemon

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	// minRate is the lowest rate that keeps a piece within the deadlines of
	// the protocol.
	minRate = 16_000
	maxRate = 1_000_000_000_000

	rateOff = "off"
)

// rateUnits are the decimal units of a rate, the greatest first.
var rateUnits = []struct {
	letter string
	bytes  float64
}{{"G", 1e9}, {"M", 1e6}, {"K", 1e3}}

// ParseRate reads a rate as people write it: 10M, 500K, 1.5MB/s. It is bytes a
// second, and the units are decimal; 0 stands for off.
func ParseRate(text string) (int64, error) {
	if text == rateOff {
		return 0, nil
	}
	number, unit := strings.TrimSuffix(strings.TrimSuffix(text, "/s"), "B"), 1.0
	for _, u := range rateUnits {
		if rest, ok := strings.CutSuffix(strings.ToUpper(number), u.letter); ok {
			number, unit = rest, u.bytes
			break
		}
	}
	if strings.Trim(number, "0123456789.") != "" { // no signs, exponents or words
		return 0, notARate(text)
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, notARate(text)
	}
	perSecond := math.Round(value * unit)
	if perSecond < minRate || perSecond > maxRate {
		return 0, fmt.Errorf("%q is not between %s and %s a second; for no limit write off", text, FormatRate(minRate), FormatRate(maxRate))
	}
	return int64(perSecond), nil
}

func notARate(text string) error {
	return fmt.Errorf("%q is not a rate; write it in bytes a second, like 10M, 500K or 1.5M, or off", text)
}

// FormatRate is a rate in the shortest form that ParseRate reads.
func FormatRate(perSecond int64) string {
	if perSecond == 0 {
		return rateOff
	}
	for _, u := range rateUnits {
		if float64(perSecond) >= u.bytes {
			return strconv.FormatFloat(float64(perSecond)/u.bytes, 'f', -1, 64) + u.letter
		}
	}
	return strconv.FormatInt(perSecond, 10)
}
