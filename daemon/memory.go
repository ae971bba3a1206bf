package daemon

import (
	"slices"
	"sync"

	"github.com/vidsync/vidsync/manifest"
)

const (
	// maxInFlight bounds the pieces of one fetch that are asked for or not yet
	// written: half a second of 1 Gbit/s, and what a slow disk may pile up.
	maxInFlight = 64 << 20
	// maxInFlightAll bounds them for all fetches together, so that several at
	// once stay within what the node promises to take.
	maxInFlightAll = 96 << 20
	// minInFlight is the least of a fetch, however many there are.
	minInFlight = 2 * manifest.PieceSize
)

// memoryUser is a fetch that keeps to a share of memory.
type memoryUser interface {
	// SetMaxInFlight bounds the bytes asked for, or received and not yet
	// written, from now on.
	SetMaxInFlight(bytes int64)
}

// pieceMemory shares maxInFlightAll among the fetches that run.
type pieceMemory struct {
	mu    sync.Mutex
	users []memoryUser
}

// enter gives a fetch its share, at the cost of the others, until leave is
// called.
func (m *pieceMemory) enter(u memoryUser) (leave func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users = append(m.users, u)
	m.shareOut()
	return func() { m.leave(u) }
}

func (m *pieceMemory) leave(u memoryUser) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.users, u); i >= 0 {
		m.users = slices.Delete(m.users, i, i+1)
	}
	m.shareOut()
}

// shareOut tells every fetch its share. The caller holds mu.
func (m *pieceMemory) shareOut() {
	for _, u := range m.users {
		u.SetMaxInFlight(max(minInFlight, min(maxInFlight, maxInFlightAll/int64(len(m.users)))))
	}
}

// all are the fetches that run.
func (m *pieceMemory) all() []memoryUser {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.users)
}
