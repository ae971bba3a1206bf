package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// maxDataStreams is the most data streams that one Remote opens.
const maxDataStreams = 8

// ClientConfig tunes a Remote. The zero value works.
type ClientConfig struct {
	// DataStreams is how many streams carry pieces, at most 8. Default 2:
	// go-yamux 5.1 gives the sender more window only when half of it was
	// read, and once the window has grown, the sender has used it up by then
	// and waits. So one stream fills 76 % of a link of 200 Mbit/s and 100 ms,
	// two fill 99.9 %.
	DataStreams int
	// Timeout bounds every stretch of progress: one message, or 4 KiB of raw
	// bytes, in either direction, and the wait for an answer. Default 30 s.
	Timeout time.Duration
	// Down limits how fast pieces come; nil does not. Remotes may share it.
	// What waits for it waits in the connection, so that the peer sees a slow
	// reader: below 70 kB a second for each peer it may give up.
	Down Pacer
	// Buffers is where pieces are received. Remotes may share it, and should
	// if there are many: one that keeps as many as are in flight at once saves
	// an allocation of 1 MiB a piece. Nil means an own one that keeps 16.
	Buffers *Buffers
	// AllowRelayed also opens streams over relays and other limited connections.
	AllowRelayed bool
}

func (c ClientConfig) withDefaults() ClientConfig {
	if c.DataStreams <= 0 {
		c.DataStreams = 2
	}
	c.DataStreams = min(c.DataStreams, maxDataStreams)
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Buffers == nil {
		c.Buffers = NewBuffers(16)
	}
	return c
}

// Remote is one video at one other node. It is safe for concurrent use.
//
// First it needs the video's manifest: from Manifest or Begin, or by SetManifest. Then
// Run, once, keeps the streams; Get works while it runs.
type Remote struct {
	host       host.Host
	peer       peer.ID
	video      cid.Cid
	capability []byte
	cfg        ClientConfig
	ready      chan struct{} // closed by Run once data or err is set

	mu       sync.Mutex
	manifest *manifest.Manifest
	name     string        // as the peer calls the video
	early    *earlyStreams // opened by Begin, until Run takes them
	data     []*dataStream
	err      error // why there are no data streams any more
}

// NewRemote returns the video at peer p, which is asked with that capability
// (nil for none). The host must know an address of p or be connected to it.
// Nothing is opened yet.
func NewRemote(h host.Host, p peer.ID, video cid.Cid, capability []byte, cfg ClientConfig) *Remote {
	return &Remote{
		host:       h,
		peer:       p,
		video:      video,
		capability: capability,
		cfg:        cfg.withDefaults(),
		ready:      make(chan struct{}),
	}
}

// ID is the peer's ID as text.
func (r *Remote) ID() string { return r.peer.String() }

// SetManifest gives the Remote its video's manifest, for callers that have it
// already. It panics if it is of another video.
func (r *Remote) SetManifest(m *manifest.Manifest) {
	if m.CID() != r.video {
		panic(fmt.Sprintf("protocol: internal error: manifest of %s set for %s", m.CID(), r.video))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manifest = m
}

func (r *Remote) currentManifest() *manifest.Manifest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.manifest
}

// Run opens the streams and keeps them until ctx ends or the peer is lost. It
// calls update from one goroutine with the pieces that the peer holds: first
// for each block of which it holds any, then whenever a block's pieces change;
// mask is always all pieces of the block now held. A slow update holds the
// peer up. Run may be called once. It returns ctx's error, or wraps ErrRefused,
// ErrBusy, fs.ErrNotExist (the peer has not got the video), ErrProtocol or
// what the network said. No Get is left waiting when it returns.
func (r *Remote) Run(ctx context.Context, update func(block int, mask uint32)) error {
	err := r.run(ctx, update)
	r.publish(nil, err)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("peer %s: %w", r.peer, err)
}

func (r *Remote) run(ctx context.Context, update func(block int, mask uint32)) error {
	m := r.currentManifest()
	if m == nil {
		return errors.New("run before the manifest is known")
	}
	g, ctx := errgroup.WithContext(ctx) // whose end resets all streams
	early := r.takeEarly()
	early.bind(ctx)
	g.Go(func() error { return r.followHoldings(ctx, m, early, update) })
	g.Go(func() error { return r.startData(ctx, g, m, early) })
	return g.Wait()
}

// startData opens the data streams, those that are not early, and starts their
// loops, none of which returns nil.
func (r *Remote) startData(ctx context.Context, g *errgroup.Group, m *manifest.Manifest, early *earlyStreams) error {
	data, err := r.openData(ctx, m, early)
	if err != nil {
		return fmt.Errorf("open pieces stream: %w", err)
	}
	for _, d := range data {
		g.Go(func() error { return d.readAnswers(ctx) })
		g.Go(func() error { return d.writeRequests(ctx) })
	}
	r.publish(data, nil)
	return nil
}

// publish says to Get which streams there are, or that there are none.
func (r *Remote) publish(data []*dataStream, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.data, r.err = data, err
	select {
	case <-r.ready:
	default:
		close(r.ready)
	}
}

// openStream opens a stream that is reset when ctx ends.
func (r *Remote) openStream(ctx context.Context, id protocol.ID, memory int) (*framing, error) {
	return openStream(ctx, r.host, r.peer, id, memory, r.cfg)
}

func (r *Remote) openMessage() *wire.Open {
	return &wire.Open{Video: r.video.Bytes(), Capability: r.capability}
}

// readOpened reads what the peer says to the Open of a pieces stream.
func (f *framing) readOpened() error {
	var opened wire.Opened
	if err := f.read(&opened, MaxAnswerBytes); err != nil {
		return cutShort(err)
	}
	return errorOf(opened.Status)
}

// Get fetches one piece. It blocks until the piece is here, the peer says
// otherwise, the streams end or ctx does; in the last case the peer is told
// that the piece is not wanted any more. Before Run has opened the streams it
// waits for them.
//
// The piece and its proof have the lengths that the manifest asks for, but are
// not verified. data lies in a page-aligned buffer of manifest.PieceSize bytes
// that is the caller's until it calls release, which it must do; only the
// first call counts. proof is the caller's for good.
//
// Errors: fs.ErrNotExist if the peer has not got the piece (ErrChanged: not
// any more), ErrBusy, ErrClosed with the reason, ErrProtocol, or ctx's.
func (r *Remote) Get(ctx context.Context, block, piece int) (data, proof []byte, release func(), err error) {
	select {
	case <-r.ready:
	case <-ctx.Done():
		return nil, nil, nil, ctx.Err()
	}
	d, err := r.leastBusy()
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := d.get(ctx, block, piece)
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("get piece %d of block %d from %s: %w", piece, block, r.peer, err)
		}
		return nil, nil, nil, err
	}
	return c.data, c.proof, r.cfg.Buffers.releaser(c.buffer), nil
}

// leastBusy is the data stream with the fewest requests on it, and now one
// more.
func (r *Remote) leastBusy() (*dataStream, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.data) == 0 {
		return nil, fmt.Errorf("peer %s: %w: %w", r.peer, ErrClosed, withoutContext(r.err))
	}
	best := r.data[0]
	for _, d := range r.data[1:] {
		if d.load.Load() < best.load.Load() {
			best = d
		}
	}
	best.load.Add(1)
	return best, nil
}

// withoutContext keeps the end of Run's context from looking, to a caller of
// Get, like the end of its own.
func withoutContext(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errors.New("run has ended")
	}
	return err
}

// ReportBad tells the peer that a piece it sent did not match its proof, so
// that it can check its disk. It has a stream of its own, so Run may have
// ended, and returns once the peer has read the report.
func (r *Remote) ReportBad(ctx context.Context, block, piece int) error {
	err := r.reportBad(ctx, block, piece)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("report bad piece to %s: %w", r.peer, err)
	}
	return nil
}

func (r *Remote) reportBad(ctx context.Context, block, piece int) (err error) {
	f, err := r.openStream(ctx, PiecesID, controlBytes)
	if err != nil {
		return err
	}
	defer func() { f.end(err) }()
	if err := f.write(r.openMessage()); err != nil {
		return err
	}
	if err := f.readOpened(); err != nil {
		return err
	}
	bad := &wire.Bad{Block: uint32(block), Piece: uint32(piece)}
	if err := f.write(&wire.PieceRequest{Kind: &wire.PieceRequest_Bad{Bad: bad}}); err != nil {
		return err
	}
	if err := f.stream.CloseWrite(); err != nil {
		return err
	}
	f.armRead()
	if err := f.peek(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("no end after a report: %w", err)
	}
	return nil
}
