package exchange_test

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// quantum is how much a link sends for one client before it turns to the next.
	quantum = 256 << 10
	// buffered is how much of a client's queue lies in the kernel, from where
	// nothing comes back.
	buffered = 512 << 10
)

// link is an uplink that several clients share: bytes leave at a fixed rate,
// the clients take turns, and each is served in the order of its requests.
type link struct {
	rate float64 // bytes per second
	wake chan struct{}

	mu      sync.Mutex
	clients []*client
	sent    int64
	frozen  bool
}

type client struct{ queue []*transfer }

type transfer struct {
	left int64
	sent chan struct{} // closed when the last byte has left
}

func newLink(mbits float64) *link {
	return &link{rate: mbits * 1e6 / 8, wake: make(chan struct{}, 1)}
}

func (l *link) newClient() *client {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &client{}
	l.clients = append(l.clients, c)
	return c
}

// send returns when n bytes have left for c, or with ctx's error; then they are
// dropped if they are still far back in the queue.
func (l *link) send(ctx context.Context, c *client, n int64) error {
	t := &transfer{left: n, sent: make(chan struct{})}
	l.mu.Lock()
	c.queue = append(c.queue, t)
	l.mu.Unlock()
	l.nudge()
	select {
	case <-t.sent:
		return nil
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		if c.ahead(t) >= buffered {
			c.remove(t)
		}
		return ctx.Err()
	}
}

func (l *link) freeze(on bool) {
	l.mu.Lock()
	l.frozen = on
	l.mu.Unlock()
	l.nudge()
}

// bytes is what has left the link so far, wanted or not.
func (l *link) bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

func (l *link) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run moves bytes until ctx ends.
func (l *link) run(ctx context.Context) {
	for ctx.Err() == nil {
		c, t, n := l.next()
		if t == nil {
			select {
			case <-l.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		time.Sleep(time.Duration(float64(n) / l.rate * float64(time.Second)))
		l.moved(c, t, n)
	}
}

// next takes the first client in turn that has something queued.
func (l *link) next() (*client, *transfer, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen {
		return nil, nil, 0
	}
	for range l.clients {
		c := l.clients[0]
		l.clients = append(l.clients[1:], c)
		if len(c.queue) > 0 {
			return c, c.queue[0], min(quantum, c.queue[0].left)
		}
	}
	return nil, nil, 0
}

func (l *link) moved(c *client, t *transfer, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent += n
	t.left -= n
	if t.left == 0 {
		c.remove(t)
		close(t.sent)
	}
}

// ahead is how many bytes are sent before t.
func (c *client) ahead(t *transfer) (n int64) {
	for _, other := range c.queue {
		if other == t {
			break
		}
		n += other.left
	}
	return n
}

func (c *client) remove(t *transfer) {
	c.queue = slices.DeleteFunc(c.queue, func(other *transfer) bool { return other == t })
}
