package manifest

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// SplitConfig tunes Split. The zero value hashes on every core.
type SplitConfig struct {
	// Workers is how many blocks are hashed at once; 0 means one a core.
	// Each holds one buffer of PieceSize, or of a shorter video's size.
	Workers int
	// Progress, if set, is called after each piece with the bytes that were
	// read since the last call. It is called from several goroutines.
	Progress func(n int64)
	// Hole, if set, tells whether the n bytes at offset are known to be zeros
	// without reading them (a hole in a sparse file). It is asked of whole
	// blocks, from several goroutines.
	Hole func(offset, n int64) bool
	// Block, if set, receives every block once it is hashed, in any order but
	// one call at a time. An error ends the split and is the last call.
	Block func(b Block, o Outboard) error
}

// Split reads the size bytes of src once and returns their manifest. It
// returns when all its work has ended; the first error, or the context's end,
// stops it. Bytes that are missing give io.ErrUnexpectedEOF.
func Split(ctx context.Context, src io.ReaderAt, size int64, cfg SplitConfig) (*Manifest, error) {
	if size < 0 || size > MaxVideoSize {
		return nil, fmt.Errorf("%w: size %d is outside 0 to %d", ErrMalformed, size, int64(MaxVideoSize))
	}
	s := splitter{src: src, size: size, cfg: cfg, blocks: make([]Digest, NumBlocks(size))}
	workers := cfg.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	g, ctx := errgroup.WithContext(ctx)
	for range min(workers, len(s.blocks)) {
		g.Go(func() error { return s.run(ctx) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return New(size, s.blocks)
}

type splitter struct {
	src    io.ReaderAt
	size   int64
	cfg    SplitConfig
	blocks []Digest // each element is written by one worker

	next atomic.Int64 // block to hash next

	mu       sync.Mutex // serialises cfg.Block
	blockErr error      // that cfg.Block returned; there is no call after it
}

func (s *splitter) run(ctx context.Context) error {
	buf := make([]byte, min(PieceSize, s.size))
	for {
		i := int(s.next.Add(1) - 1)
		if i >= len(s.blocks) {
			return nil
		}
		if err := s.hash(ctx, i, buf); err != nil {
			return err
		}
	}
}

func (s *splitter) hash(ctx context.Context, i int, buf []byte) error {
	b := Block{Index: i, Offset: int64(i) * BlockSize, Len: BlockLen(s.size, i)}
	o, err := s.hashBytes(ctx, &b, buf)
	if err != nil {
		return err
	}
	s.blocks[i] = b.Digest
	return s.deliver(b, o)
}

func (s *splitter) deliver(b Block, o Outboard) error {
	if s.cfg.Block == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blockErr == nil {
		s.blockErr = s.cfg.Block(b, o)
	}
	return s.blockErr
}

func (s *splitter) hashBytes(ctx context.Context, b *Block, buf []byte) (o Outboard, err error) {
	if b.Len == BlockSize && s.cfg.Hole != nil && s.cfg.Hole(b.Offset, b.Len) {
		zero := zeroBlock()
		b.Digest = zero.digest
		s.progress(b.Len)
		return slices.Clone(zero.outboard), ctx.Err()
	}
	r := &blockReader{ctx: ctx, s: s, offset: b.Offset}
	b.Digest, o, err = HashBlock(r, b.Len, buf)
	if err != nil {
		return nil, fmt.Errorf("read block %d at %d: %w", b.Index, b.Offset, err)
	}
	return o, nil
}

func (s *splitter) progress(n int64) {
	if s.cfg.Progress != nil {
		s.cfg.Progress(n)
	}
}

// blockReader reads on from an offset until the context ends.
type blockReader struct {
	ctx    context.Context // of the one Split call that the reader lives in
	s      *splitter
	offset int64
}

func (r *blockReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.s.src.ReadAt(p, r.offset)
	r.offset += int64(n)
	r.s.progress(int64(n))
	switch {
	case n == len(p):
		return n, nil // ReadAt may return io.EOF together with the last bytes
	case n == 0 && err == nil:
		return 0, io.ErrNoProgress // else a broken source would be read for ever
	}
	return n, err
}

type hashedBlock struct {
	digest   Digest
	outboard Outboard
}

// zeroBlock is the block of 2^25 zeros, hashed once.
var zeroBlock = sync.OnceValue(func() hashedBlock {
	d, o, err := HashBlock(zeros{}, BlockSize, make([]byte, PieceSize))
	if err != nil {
		panic("manifest: internal error: hash zeros: " + err.Error())
	}
	return hashedBlock{digest: d, outboard: o}
})

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
