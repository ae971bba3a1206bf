package protocol

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/vidsync/vidsync/manifest"
)

const (
	// alignment of piece buffers in memory. Direct I/O asks for the logical
	// block size of the disk, which is at most this.
	alignment = 4096
	// headroom is kept free before a piece, so that a header and the start of
	// the piece leave in one write.
	headroom = 4096
)

// Buffers keeps piece buffers for use again. Remotes may share one. It is safe
// for concurrent use.
type Buffers struct {
	keep int

	mu   sync.Mutex
	idle []*buffer // the last one is the warmest
}

// NewBuffers returns an empty set of buffers that keeps at most the given
// number of idle ones, each a little over 1 MiB. It does not limit how many
// are in use.
func NewBuffers(keep int) *Buffers {
	return &Buffers{keep: keep}
}

func (b *Buffers) get() *buffer {
	if buf := b.take(); buf != nil {
		return buf
	}
	return newBuffer()
}

func (b *Buffers) take() *buffer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.idle) == 0 {
		return nil
	}
	last := len(b.idle) - 1
	buf := b.idle[last]
	b.idle[last] = nil
	b.idle = b.idle[:last]
	return buf
}

func (b *Buffers) put(buf *buffer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.idle) < b.keep {
		b.idle = append(b.idle, buf)
	}
}

// releaser returns a function that puts buf back on its first call and does
// nothing after that.
func (b *Buffers) releaser(buf *buffer) func() {
	var done atomic.Bool
	return func() {
		if done.CompareAndSwap(false, true) {
			b.put(buf)
		}
	}
}

// A buffer holds one piece, aligned, with headroom before it.
type buffer struct {
	whole []byte
}

func newBuffer() *buffer {
	raw := make([]byte, pieceBufferBytes)
	skip := int(-uintptr(unsafe.Pointer(&raw[0])) & (alignment - 1))
	return &buffer{whole: raw[skip : skip+headroom+manifest.PieceSize : skip+headroom+manifest.PieceSize]}
}

// piece is the aligned part, manifest.PieceSize bytes.
func (b *buffer) piece() []byte { return b.whole[headroom:] }

// message returns header and the first n bytes of the piece in one slice.
func (b *buffer) message(header []byte, n int) []byte {
	start := headroom - len(header)
	copy(b.whole[start:], header)
	return b.whole[start : headroom+n]
}

// holds tells whether data lies at the start of the piece.
func (b *buffer) holds(data []byte) bool {
	return len(data) > 0 && &data[0] == &b.whole[headroom]
}
