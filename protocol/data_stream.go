package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// dataStream carries the pieces of one video. Many goroutines call get; one
// writes what they ask, one reads what comes. Answers come in the order of the
// requests, one for each, even if nobody waits for it any more.
type dataStream struct {
	*framing
	manifest *manifest.Manifest
	buffers  *Buffers
	down     *pace
	slots    chan struct{} // one element for each request without an answer
	wake     chan struct{} // tells the writer that there is something pending
	opened   chan struct{} // closed once the peer has agreed to Open
	dead     chan struct{} // closed once err is set
	load     atomic.Int32  // calls of get that wait, and answers that nobody waits for

	mu          sync.Mutex
	err         error
	lastID      uint64
	outstanding []*call // oldest first
	pending     []byte  // encoded requests to be written
	spare       []byte  // memory of those written before
}

// A call is one Get. Its result is set before done is closed, and not touched
// after that.
type call struct {
	id           uint64
	block, piece int
	done         chan struct{}

	abandoned bool // guarded by dataStream.mu

	data, proof []byte
	buffer      *buffer // that data lies in; nil on error
	err         error
}

// openData opens all data streams of a Remote at once. What their peer says to
// that is read by their loops.
func (r *Remote) openData(ctx context.Context, m *manifest.Manifest, early *earlyStreams) ([]*dataStream, error) {
	data := make([]*dataStream, r.cfg.DataStreams)
	var g errgroup.Group
	for i := range data {
		g.Go(func() (err error) {
			data[i], err = r.openDataStream(ctx, m, early.dataAt(i))
			return err
		})
	}
	return data, g.Wait()
}

// openDataStream makes early a data stream; if it is nil, a new one.
func (r *Remote) openDataStream(ctx context.Context, m *manifest.Manifest, early *framing) (*dataStream, error) {
	f := early
	var err error
	if early != nil {
		err = f.reserveMore(pieceBufferBytes)
	} else {
		f, err = r.openStream(ctx, PiecesID, controlBytes+pieceBufferBytes)
	}
	if err != nil {
		return nil, err
	}
	d := newDataStream(f, m, r.cfg.Buffers)
	d.down = newPace(r.cfg.Down)
	if early == nil {
		d.begin(r.openMessage())
	}
	return d, nil
}

func newDataStream(f *framing, m *manifest.Manifest, buffers *Buffers) *dataStream {
	return &dataStream{
		framing:  f,
		manifest: m,
		buffers:  buffers,
		slots:    make(chan struct{}, MaxOutstanding),
		wake:     make(chan struct{}, 1),
		opened:   make(chan struct{}),
		dead:     make(chan struct{}),
	}
}

// begin leaves Open to the writer. Requests may follow it at once: they leave
// together, and cost no round trip more.
func (d *dataStream) begin(open *wire.Open) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.send(open)
}

// get returns a call that has succeeded. The caller has added to load, which
// the end of the request takes back.
func (d *dataStream) get(ctx context.Context, block, piece int) (*call, error) {
	c, err := d.ask(ctx, block, piece)
	if err != nil {
		d.load.Add(-1)
		return nil, err
	}
	select {
	case <-c.done:
		return c, c.err
	case <-ctx.Done():
		d.abandon(c)
		return nil, ctx.Err()
	}
}

// ask sends a request once there may be one more.
func (d *dataStream) ask(ctx context.Context, block, piece int) (*call, error) {
	if block < 0 || block >= d.manifest.NumBlocks() ||
		piece < 0 || piece >= manifest.NumPieces(d.manifest.Block(block).Len) {
		return nil, errors.New("the video has no such piece")
	}
	select {
	case d.slots <- struct{}{}:
	case <-d.dead:
		return nil, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return d.request(block, piece)
}

func (d *dataStream) request(block, piece int) (*call, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, d.err
	}
	d.lastID++
	c := &call{id: d.lastID, block: block, piece: piece, done: make(chan struct{})}
	d.outstanding = append(d.outstanding, c)
	if len(d.outstanding) == 1 {
		d.armRead() // the reader may be waiting without a deadline
	}
	d.send(&wire.PieceRequest{Kind: &wire.PieceRequest_Get{
		Get: &wire.Get{Id: c.id, Block: uint32(block), Piece: uint32(piece)},
	}})
	return c, nil
}

// send leaves a message to the writer. The caller holds mu.
func (d *dataStream) send(m proto.Message) {
	d.pending = appendMessage(d.pending, m)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// abandon gives up a call: its answer is dropped when it comes.
func (d *dataStream) abandon(c *call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-c.done:
		if c.buffer != nil {
			d.buffers.put(c.buffer)
		}
		return
	default:
	}
	c.abandoned = true
	d.send(&wire.PieceRequest{Kind: &wire.PieceRequest_Cancel{Cancel: &wire.Cancel{Id: c.id}}})
}

func (d *dataStream) writeRequests(ctx context.Context) error {
	for {
		select {
		case <-d.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		out := d.takePending()
		if err := d.writeFull(out); err != nil {
			return d.reason(fmt.Errorf("write piece requests: %w", err))
		}
		d.mu.Lock()
		d.spare = out
		d.mu.Unlock()
	}
}

// reason is why a write failed. Requests may fail to leave because the peer has
// declined Open; then what it said counts.
func (d *dataStream) reason(err error) error {
	select {
	case <-d.opened:
		return err
	case <-d.dead:
		return d.err
	}
}

func (d *dataStream) takePending() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.pending
	d.pending, d.spare = d.spare[:0], nil
	return out
}

// readAnswers reads until the stream ends, and then fails all calls.
func (d *dataStream) readAnswers(ctx context.Context) error {
	if err := d.readOpened(); err != nil {
		err = fmt.Errorf("open pieces stream: %w", err)
		d.fail(fmt.Errorf("%w: %w", ErrClosed, err))
		return err
	}
	close(d.opened)
	err := d.readEach(ctx)
	if errors.Is(err, io.EOF) {
		err = errors.New("closed by the peer")
	}
	err = fmt.Errorf("pieces stream: %w: %w", ErrClosed, err)
	d.fail(err)
	return err
}

func (d *dataStream) readEach(ctx context.Context) error {
	var answer wire.PieceAnswer
	for {
		d.armForAnswer()
		if err := d.peek(); err != nil {
			return err
		}
		if err := d.read(&answer, MaxAnswerBytes); err != nil {
			return err
		}
		c, abandoned := d.oldest()
		if err := d.check(&answer, c, abandoned); err != nil {
			return err
		}
		if err := d.receive(ctx, &answer, c, abandoned); err != nil {
			return err
		}
	}
}

// armForAnswer sets the deadline for the next answer, if one is due.
func (d *dataStream) armForAnswer() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.outstanding) > 0 {
		d.armRead()
		return
	}
	d.disarmRead()
}

// oldest is the call that the next answer must be for; nil if there is none.
func (d *dataStream) oldest() (c *call, abandoned bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.outstanding) == 0 {
		return nil, false
	}
	c = d.outstanding[0]
	return c, c.abandoned
}

// check compares an answer's header with what was asked.
func (d *dataStream) check(a *wire.PieceAnswer, c *call, abandoned bool) error {
	if c == nil {
		return fmt.Errorf("%w: answer %d to no request", ErrProtocol, a.Id)
	}
	if a.Id != c.id {
		return fmt.Errorf("%w: answer %d, want %d", ErrProtocol, a.Id, c.id)
	}
	size, proof := 0, 0
	switch a.Status {
	case wire.Status_STATUS_UNSPECIFIED:
		return fmt.Errorf("%w: answer without a status", ErrProtocol)
	case wire.Status_STATUS_CANCELLED:
		if !abandoned {
			return fmt.Errorf("%w: request %d was not cancelled", ErrProtocol, c.id)
		}
	case wire.Status_STATUS_OK:
		blockLen := d.manifest.Block(c.block).Len
		size, proof = manifest.PieceLen(blockLen, c.piece), manifest.ProofLen(blockLen, c.piece)
	}
	if int64(a.Size) != int64(size) || len(a.Proof) != proof {
		return fmt.Errorf("%w: piece of %d bytes with a proof of %d, want %d and %d",
			ErrProtocol, a.Size, len(a.Proof), size, proof)
	}
	return nil
}

// receive reads the bytes after a header and ends the call.
func (d *dataStream) receive(ctx context.Context, a *wire.PieceAnswer, c *call, abandoned bool) error {
	if err := errorOf(a.Status); err != nil {
		d.finish(c, func() { c.err = err })
		return nil
	}
	if abandoned {
		if err := d.paced(ctx, int(a.Size), func(_, n int) error { return d.discard(n) }); err != nil {
			return err
		}
		d.finish(c, func() { c.err = errCancelled })
		return nil
	}
	buf := d.buffers.get()
	data := buf.piece()[:a.Size]
	if err := d.paced(ctx, len(data), func(from, n int) error { return d.readFull(data[from : from+n]) }); err != nil {
		d.buffers.put(buf)
		return err
	}
	d.finish(c, func() { c.data, c.proof, c.buffer = data, a.Proof, buf })
	return nil
}

// paced takes size bytes from the stream, as fast as they may come. No
// deadline runs while it waits for the next of them to be allowed.
func (d *dataStream) paced(ctx context.Context, size int, take func(from, n int) error) error {
	for from := 0; from < size; {
		n := d.down.stretch(size - from)
		if err := take(from, n); err != nil {
			return err
		}
		if err := d.down.wait(ctx, n); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// finish takes the oldest call off the list and ends it with its result set.
func (d *dataStream) finish(c *call, setResult func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.outstanding[0] = nil
	d.outstanding = d.outstanding[1:]
	<-d.slots
	d.load.Add(-1)
	setResult()
	if c.abandoned && c.buffer != nil { // while its bytes came
		d.buffers.put(c.buffer)
	}
	close(c.done)
}

// fail ends all calls, now and from now on.
func (d *dataStream) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
	close(d.dead)
	for _, c := range d.outstanding {
		c.err = d.err
		close(c.done)
	}
	d.outstanding = nil
}
