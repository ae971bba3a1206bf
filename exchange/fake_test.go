package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vidsync/vidsync/manifest"
)

const mib = 1 << 20

// changesEvery is how long a peer keeps changes to tell them together.
const changesEvery = 200 * time.Millisecond

var (
	zeros    = make([]byte, manifest.PieceSize)
	good     = []byte("proof")
	lie      = []byte("lie")
	errReset = errors.New("connection reset")
)

// store is what one node holds, and who is told of changes.
type store struct {
	mu      sync.Mutex
	held    *manifest.Holdings
	changed chan struct{}
}

func newStore(held *manifest.Holdings) *store {
	return &store{held: held, changed: make(chan struct{})}
}

func (s *store) snapshot() (*manifest.Holdings, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held.Clone(), s.changed
}

func (s *store) has(block, piece int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held.Has(block, piece)
}

// edit changes the holdings and tells those who watch.
func (s *store) edit(change func(h *manifest.Holdings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.held)
	close(s.changed)
	s.changed = make(chan struct{})
}

// fakePeer serves a store over a link.
type fakePeer struct {
	id     string
	size   int64
	store  *store
	up     *link
	client *client

	delay     time.Duration // one way
	jitter    time.Duration // more on the way back, at random
	lieEvery  int64         // every so manieth piece is a lie
	failEvery int64         // every so manieth request fails
	denyEvery int64         // every so manieth request is denied
	life      time.Duration // after which Run returns; 0 is for ever
	boast     bool          // it announces the whole video, whatever it holds

	gets, delivered, released, running *atomic.Int64
	maxOwed, owed                      atomic.Int64
}

func newFake(id string, size int64, mbits float64, roundTrip time.Duration) *fakePeer {
	up := newLink(mbits)
	return &fakePeer{
		id: id, size: size, up: up, client: up.newClient(), delay: roundTrip / 2,
		store: newStore(manifest.AllHoldings(size)),
		gets:  new(atomic.Int64), delivered: new(atomic.Int64),
		released: new(atomic.Int64), running: new(atomic.Int64),
	}
}

func (p *fakePeer) ID() string { return p.id }

// Run announces the store and its changes.
func (p *fakePeer) Run(ctx context.Context, update func(block int, mask uint32)) error {
	p.running.Add(1)
	defer p.running.Add(-1)
	if p.life > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.life)
		defer cancel()
	}
	last := manifest.NewHoldings(p.size)
	for {
		now, changed := p.store.snapshot()
		if p.boast {
			now = manifest.AllHoldings(p.size)
		}
		if err := sleep(ctx, p.delay); err != nil {
			return err
		}
		for b := range now.NumBlocks() {
			if now.Mask(b) != last.Mask(b) {
				update(b, now.Mask(b))
			}
		}
		last = now
		select {
		case <-changed:
			if err := sleep(ctx, changesEvery); err != nil { // gather a few
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Get serves one piece as the peer's faults will have it.
func (p *fakePeer) Get(ctx context.Context, block, piece int) ([]byte, []byte, func(), error) {
	if p.running.Load() == 0 {
		return nil, nil, nil, errReset
	}
	n := manifest.PieceLen(manifest.BlockLen(p.size, block), piece)
	p.maxOwed.Store(max(p.maxOwed.Load(), p.owed.Add(int64(n))))
	defer p.owed.Add(-int64(n))
	count := p.gets.Add(1)
	if err := sleep(ctx, p.delay); err != nil {
		return nil, nil, nil, err
	}
	switch {
	case every(p.failEvery, count):
		return nil, nil, nil, errReset
	case every(p.denyEvery, count), !p.store.has(block, piece):
		return nil, nil, nil, fmt.Errorf("piece %d of block %d: %w", piece, block, fs.ErrNotExist)
	}
	if err := p.up.send(ctx, p.client, int64(n)); err != nil {
		return nil, nil, nil, err
	}
	back := p.delay
	if p.jitter > 0 {
		back += rand.N(p.jitter)
	}
	if err := sleep(ctx, back); err != nil {
		return nil, nil, nil, err
	}
	proof := good
	if every(p.lieEvery, p.delivered.Add(1)) {
		proof = lie
	}
	var once atomic.Bool
	return zeros[:n], proof, func() {
		if !once.CompareAndSwap(false, true) {
			panic("release called twice")
		}
		p.released.Add(1)
	}, nil
}

func every(n, count int64) bool { return n > 0 && count%n == 0 }

// sleep waits, but not longer than ctx lasts.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fakeSink keeps a node's store and counts what it is given.
type fakeSink struct {
	*store
	size  int64
	delay time.Duration // of each Put
	full  error         // what Put returns once room is used up
	room  int64         // pieces; 0 is no limit

	mu                 sync.Mutex
	order              []int // blocks in order of arrival
	puts               int64
	twice, busy, peaks int
	lies               int
}

func newSink(size int64) *fakeSink {
	return &fakeSink{store: newStore(manifest.NewHoldings(size)), size: size}
}

// Put accepts what is not a lie.
func (s *fakeSink) Put(ctx context.Context, block, piece int, data, proof []byte) error {
	s.enter()
	defer s.exit()
	if s.delay > 0 {
		if err := sleep(ctx, s.delay); err != nil {
			return err
		}
	}
	want := manifest.PieceLen(manifest.BlockLen(s.size, block), piece)
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(proof) != string(good) || len(data) != want {
		s.lies++
		return fmt.Errorf("piece %d of block %d: %w", piece, block, manifest.ErrCorrupt)
	}
	if s.puts++; s.room > 0 && s.puts > s.room {
		return s.full
	}
	s.order = append(s.order, block)
	s.edit(func(h *manifest.Holdings) {
		if h.Add(block, 1<<piece) == 0 {
			s.twice++
		}
	})
	return nil
}

func (s *fakeSink) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy++
	s.peaks = max(s.peaks, s.busy)
}

func (s *fakeSink) exit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
}
