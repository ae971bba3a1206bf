package daemon

import "sync"

// broadcast wakes everybody who waits for a change. The zero value is ready for
// use.
type broadcast struct {
	mu sync.Mutex
	c  chan struct{}
}

// next is closed by the next tell.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c == nil {
		b.c = make(chan struct{})
	}
	return b.c
}

func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c != nil {
		close(b.c)
		b.c = nil
	}
}
