package protocol

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// PaceBytes is the most that a Pacer is asked for at once.
const PaceBytes = 64 << 10

// paceWait is about how long the bytes that are asked for together may take.
// It is short, so that many streams can share a low rate and each of them
// still moves within its deadline, and so that a new rate takes effect soon.
const paceWait = 125 * time.Millisecond

// A Pacer limits how fast pieces pass. It is safe for concurrent use. The
// Limiter of golang.org/x/time/rate is one, if its burst is at least PaceBytes.
type Pacer interface {
	// WaitN blocks until n more bytes may pass, at most PaceBytes, or ctx
	// ends; it then returns ctx's error. Any error ends the stream.
	WaitN(ctx context.Context, n int) error
}

// pace asks a Pacer for stretches that take about paceWait. It is not safe for
// concurrent use.
type pace struct {
	pacer Pacer // nil: no limit
	size  int   // of the next stretch
}

func newPace(p Pacer) *pace { return &pace{pacer: p, size: leastProgress} }

// stretch is how many of n bytes to wait for at once.
func (p *pace) stretch(n int) int {
	if p.pacer == nil {
		return n
	}
	return min(n, p.size)
}

// wait blocks until n bytes, which stretch has returned, may pass.
func (p *pace) wait(ctx context.Context, n int) error {
	if p.pacer == nil {
		return nil
	}
	start := time.Now()
	for left := n; left > 0; {
		part := min(left, PaceBytes)
		if err := p.pacer.WaitN(ctx, part); err != nil {
			return fmt.Errorf("wait for the rate limit: %w", err)
		}
		left -= part
	}
	switch took := time.Since(start); {
	case took > paceWait:
		p.size = max(int(int64(p.size)*int64(paceWait)/int64(took)), leastProgress)
	case took < paceWait/4 && n == p.size:
		p.size = min(p.size*2, stretchBytes)
	}
	return nil
}

// uplink is what a server may send: its peers take turns at it, so that they
// share a limit evenly.
type uplink struct {
	turns *turns
	pace  *pace // of whoever has the turn
}

func newUplink(p Pacer) *uplink {
	return &uplink{turns: newTurns(1, 1, 0), pace: newPace(p)}
}

// await blocks until p may be sent some of n bytes, and returns how many.
func (u *uplink) await(ctx context.Context, p peer.ID, n int) (int, error) {
	if u.pace.pacer == nil {
		return n, nil
	}
	turn, err := u.turns.take(ctx, p)
	if err != nil {
		return 0, err
	}
	defer turn.give()
	n = u.pace.stretch(n)
	return n, u.pace.wait(ctx, n)
}
