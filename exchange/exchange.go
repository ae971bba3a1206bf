// Package exchange hides how the missing pieces of one video are fetched from
// many peers at once: which piece from whom, when, and what if it does not come.
//
// An Exchange knows two neighbours. A Peer delivers pieces; a Sink verifies
// and keeps them. Between the two there is one rule, applied again after every
// event (a piece came, a request failed, a peer joined, left or learned
// something new): while some peer has room in its window, the peer that would
// finish a piece soonest gets one more (schedule.go). The rest of the package
// answers the questions that this rule raises:
//
//	which piece?                    picker.go, over the index in availability.go
//	which of a shared source?       lots.go and, when those are taken, leftover.go
//	how much may a peer owe?        peer.go, from what rate.go measures
//	what if it says nothing?        stall.go
//	what if it is the last one?     endgame.go
//	what becomes of a request?      request.go
//
// All state is guarded by one mutex. It is held for a decision, never while a
// peer or the sink works. A decision costs some microseconds however large the
// video is, because blocks are indexed in bitmaps (blockset.go).
package exchange

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/vidsync/vidsync/manifest"
)

const (
	// defaultMaxInFlight bounds the memory of all peers' pieces together.
	defaultMaxInFlight = 128 << 20
	// defaultWriters is enough to hash on a few cores while others write.
	defaultWriters = 8
	// tickInterval is how often silence and pauses are looked at. Everything
	// else happens on events.
	tickInterval = 250 * time.Millisecond
	// gatherTime is how long Run waits for more news of what peers hold
	// before it asks, so that it does not ask for the first block it hears of.
	gatherTime = 10 * time.Millisecond
)

// ErrNoProvider is returned by Run when pieces are missing, no peer is left,
// and none will come.
var ErrNoProvider = errors.New("no peer left that could provide the missing pieces")

// Sink takes the pieces. Put verifies one and keeps it; it may keep data and
// proof only until it returns. An error that wraps manifest.ErrCorrupt means
// that the bytes do not match the video; any other ends Run. Put is called
// concurrently, and never again for a piece that it accepted.
type Sink interface {
	Put(ctx context.Context, block, piece int, data, proof []byte) error
}

// Config tunes an Exchange. Its zero value is valid to use.
type Config struct {
	// Self is the ID by which other nodes know this one as a Peer. Fetchers
	// that see each other share out what they ask of a source by their IDs.
	// Empty means that this one picks at random; pieces are then sent to
	// several that need be sent only once.
	Self string
	// MaxInFlight bounds the bytes asked for, or received and not yet in the
	// sink, over all peers. 0 means 128 MiB; the least is one piece.
	MaxInFlight int64
	// Writers is the number of concurrent calls of Sink.Put. 0 means 8.
	Writers int
	// OnBad is called once for each peer that delivered a piece that does not
	// match the video, with the first such piece. nil means nobody is told.
	OnBad func(peer string, block, piece int, err error)
	// Logger gets debug messages about peers. nil discards them.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.MaxInFlight = boundInFlight(c.MaxInFlight)
	if c.Writers <= 0 {
		c.Writers = defaultWriters
	}
	if c.OnBad == nil {
		c.OnBad = func(string, int, int, error) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// boundInFlight is what is made of a Config.MaxInFlight.
func boundInFlight(bytes int64) int64 {
	if bytes == 0 {
		bytes = defaultMaxInFlight
	}
	return max(bytes, manifest.PieceSize)
}

// Exchange fetches what is missing of one video. Run it once.
type Exchange struct {
	sink    Sink
	cfg     Config
	writers chan struct{} // one token for each Put under way
	learned chan struct{} // has a token when a peer reported something
	ended   chan struct{} // closed by end
	group   sync.WaitGroup

	mu         sync.Mutex // guards all below and cfg.MaxInFlight; never held over Get, Put, OnBad or Logger
	index      *index
	peers      []*peer            // those whose Run runs, but for banned ones
	records    map[string]*record // of every peer ID ever seen
	successors map[string]Peer    // wait for the peer of the same ID to end
	flights    map[piece]*flight
	inFlight   int64 // bytes asked for, or received and not yet in the sink
	received   int64
	duplicate  int64
	lastPeer   bool  // no more peers will come
	over       bool  // nothing is asked any more
	err        error // why it ended
}

// New returns an Exchange that fetches into sink what a video of size bytes
// has and have lacks. It keeps a clone of have; nil means that nothing is had.
func New(size int64, have *manifest.Holdings, sink Sink, cfg Config) *Exchange {
	if have == nil {
		have = manifest.NewHoldings(size)
	}
	cfg = cfg.withDefaults()
	return &Exchange{
		sink:       sink,
		cfg:        cfg,
		writers:    make(chan struct{}, cfg.Writers),
		learned:    make(chan struct{}, 1),
		ended:      make(chan struct{}),
		index:      newIndex(size, have.Clone(), cfg.Self),
		records:    make(map[string]*record),
		successors: make(map[string]Peer),
		flights:    make(map[piece]*flight),
	}
}

// Run fetches until every piece is in the sink and returns nil. It returns
// early with ctx's error, with the sink's error, or with ErrNoProvider once
// peers is closed and the last peer is gone. While one peer is left Run goes
// on waiting, since that peer may come to hold more.
//
// A peer ID may come again after it was lost; one that comes while its
// predecessor still runs waits for that to end. Peers that lied are ignored.
// Run waits for everything it started, Peer.Run, Get and Put included.
func (x *Exchange) Run(ctx context.Context, peers <-chan Peer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := x.loop(ctx, peers)
	x.stop()
	cancel()
	x.group.Wait()
	return err
}

func (x *Exchange) loop(ctx context.Context, peers <-chan Peer) error {
	x.mu.Lock()
	x.conclude()
	x.mu.Unlock()
	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	var gathered <-chan time.Time
	for {
		select {
		case remote, open := <-peers:
			if !open {
				peers = nil
				x.noMorePeers()
				continue
			}
			x.admit(ctx, remote)
		case <-x.learned:
			if gathered == nil {
				gathered = time.After(gatherTime)
			}
		case <-gathered:
			gathered = nil
			x.tick()
		case <-tick.C:
			x.tick()
		case <-x.ended:
			return x.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Prioritise makes block and those after it come first and in order, for
// somebody who reads there. The latest call counts. A block outside the video
// is taken for the nearest one inside.
func (x *Exchange) Prioritise(block int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.index.readFrom(block)
	if len(x.flights) == 0 {
		x.schedule(time.Now())
	}
}

// SetMaxInFlight changes Config.MaxInFlight, with the same meaning and bounds.
// A lower limit cancels nothing: nothing more is asked for until there is room.
// It may be called at any time.
func (x *Exchange) SetMaxInFlight(bytes int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cfg.MaxInFlight = boundInFlight(bytes)
	x.schedule(time.Now())
}

func (x *Exchange) noMorePeers() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lastPeer = true
	x.conclude()
}

// stop keeps late events from asking for more while Run winds up.
func (x *Exchange) stop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
}

// conclude ends the exchange if there is nothing more to do, or nobody to do it.
func (x *Exchange) conclude() {
	switch {
	case x.index.have.Complete():
		x.end(nil)
	case x.lastPeer && len(x.peers) == 0 && len(x.flights) == 0:
		x.end(ErrNoProvider)
	}
}

// end makes Run return err. Only the first call counts.
func (x *Exchange) end(err error) {
	if x.over {
		return
	}
	x.over = true
	x.err = err
	close(x.ended)
}
