package transcribe

import (
	"sync"
	"time"
)

// reporter hands progress on, one call at a time. A nil receiver function drops it.
type reporter struct {
	mu sync.Mutex
	to func(Progress)
}

func (r *reporter) phase(phase string) { r.audio(phase, 0, 0) }

func (r *reporter) audio(phase string, done, total time.Duration) {
	if r.to == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to(Progress{Phase: phase, Done: done, Total: total})
}
