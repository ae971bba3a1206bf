package exchange

import (
	"math/bits"
	"time"
)

// Have tells that pieces of a block are in the sink although no peer delivered
// them: mask has their bits, and says nothing of other pieces. They are not
// asked for any more, and what was asked is cancelled. Have may be called at
// any time, also for pieces that the exchange put there itself. It panics on a
// block that the video has not got.
func (x *Exchange) Have(block int, mask uint32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	news := mask & x.index.have.FullMask(block) &^ x.index.have.Mask(block)
	if news == 0 {
		return
	}
	for ; news != 0; news &= news - 1 {
		at := piece{block, bits.TrailingZeros32(news)}
		x.recall(at)
		x.had(at)
	}
	x.schedule(time.Now())
	x.conclude()
}

// recall cancels the requests for a piece. One that has come goes its way.
func (x *Exchange) recall(at piece) {
	f := x.flights[at]
	if f == nil {
		return
	}
	for len(f.requests) > 0 {
		x.withdraw(f.requests[0])
	}
}
