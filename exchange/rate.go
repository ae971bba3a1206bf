package exchange

import (
	"math"
	"time"
)

// rateHorizon is how far back a rate looks: what is older counts for less
// than a third.
const rateHorizon = 3 * time.Second

// rate is a moving average of bytes per second. Until rateHorizon has passed
// it is the plain average, so that the first piece already tells something.
type rate struct {
	perSecond float64
	measured  time.Duration
}

// add records that n bytes took this long.
func (r *rate) add(n int64, took time.Duration) {
	took = max(took, time.Microsecond)
	r.measured += took
	weight := max(1-math.Exp(-took.Seconds()/rateHorizon.Seconds()), took.Seconds()/r.measured.Seconds())
	r.perSecond += weight * (float64(n)/took.Seconds() - r.perSecond)
}

func (r *rate) known() bool { return r.measured > 0 }

// timeFor is how long n bytes take at so many bytes per second.
func timeFor(n int64, perSecond float64) time.Duration {
	return time.Duration(min(float64(n)/perSecond, foreverSeconds) * float64(time.Second))
}

// foreverSeconds keeps a tiny rate from overflowing a time.Duration.
const foreverSeconds = 1e7
