package daemon

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
)

const (
	redialFirst = 1 * time.Second
	// redialRecent is the longest pause for a peer that was connected within
	// the last recently, redialLast that for others.
	redialRecent = 10 * time.Second
	recently     = time.Hour
	redialLast   = 2 * time.Minute

	contactCheck = 2 * time.Second
	maxRedials   = 16 // at once
)

// contact is what keepContact knows of one peer.
type contact struct {
	next  time.Time // no attempt before
	pause time.Duration
	seen  time.Time // connected; zero: never
}

// due tells whether it is time for an attempt, and makes the pause before the
// next one longer.
func (c *contact) due(now time.Time) bool {
	if now.Before(c.next) {
		return false
	}
	last := redialLast
	if now.Sub(c.seen) < recently {
		last = redialRecent
	}
	c.pause = min(max(2*c.pause, redialFirst), last)
	c.next = now.Add(jitter(c.pause))
	return true
}

// again forgets earlier failures.
func (c *contact) again() { c.next, c.pause = time.Time{}, 0 }

// keepContact connects to trusted and static peers whenever they are not
// connected, each after a growing pause. When this machine's network changes,
// or mDNS finds a peer, it tries at once.
func (n *network) keepContact(ctx context.Context, trust *trustList) error {
	contacts := map[peer.ID]*contact{}
	var g errgroup.Group
	g.SetLimit(maxRedials)
	defer g.Wait()
	tick := time.NewTicker(contactCheck)
	defer tick.Stop()
	for {
		changed := n.interfaces.next()
		n.redial(ctx, &g, contacts, trust)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-n.stirred:
		case <-changed:
			for _, c := range contacts {
				c.again()
			}
		}
	}
}

// redial starts the attempts that are due.
func (n *network) redial(ctx context.Context, g *errgroup.Group, contacts map[peer.ID]*contact, trust *trustList) {
	found := n.justFound()
	for _, info := range n.contacts(trust) {
		c := contacts[info.ID]
		if c == nil {
			c = new(contact)
			contacts[info.ID] = c
		}
		if n.connected(info.ID) {
			c.again()
			c.seen = time.Now()
			continue
		}
		if found[info.ID] {
			c.again()
		}
		before := *c
		if c.due(time.Now()) && !g.TryGo(func() error { _ = n.connect(ctx, info); return nil }) {
			*c = before // there is no room for it now
		}
	}
}

// jitter spreads a pause over three quarters to five quarters of itself.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}
