package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

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
	slots    chan struct{} // one element for each request without an answer
	wake     chan struct{} // tells the writer that there is something pending
	dead     chan struct{} // closed once err is set

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

// openData opens all data streams of a Remote.
func (r *Remote) openData(ctx context.Context, m *manifest.Manifest) ([]*dataStream, error) {
	data := make([]*dataStream, 0, r.cfg.DataStreams)
	for range r.cfg.DataStreams {
		f, err := r.openStream(ctx, PiecesID, controlBytes+pieceBufferBytes)
		if err != nil {
			return nil, err
		}
		if err := r.openPieces(f); err != nil {
			f.end(err)
			return nil, err
		}
		data = append(data, newDataStream(f, m, r.cfg.Buffers))
	}
	return data, nil
}

func (r *Remote) openPieces(f *framing) error {
	if err := f.write(r.openMessage()); err != nil {
		return err
	}
	var opened wire.Opened
	if err := f.read(&opened, MaxAnswerBytes); err != nil {
		return cutShort(err)
	}
	return errorOf(opened.Status)
}

func newDataStream(f *framing, m *manifest.Manifest, buffers *Buffers) *dataStream {
	return &dataStream{
		framing:  f,
		manifest: m,
		buffers:  buffers,
		slots:    make(chan struct{}, MaxOutstanding),
		wake:     make(chan struct{}, 1),
		dead:     make(chan struct{}),
	}
}

// get returns a call that has succeeded.
func (d *dataStream) get(ctx context.Context, block, piece int) (*call, error) {
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
	c, err := d.request(block, piece)
	if err != nil {
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

// send leaves a request to the writer. The caller holds mu.
func (d *dataStream) send(req *wire.PieceRequest) {
	d.pending = appendMessage(d.pending, req)
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
			return fmt.Errorf("write piece requests: %w", err)
		}
		d.mu.Lock()
		d.spare = out
		d.mu.Unlock()
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
func (d *dataStream) readAnswers() error {
	err := d.readEach()
	if errors.Is(err, io.EOF) {
		err = errors.New("closed by the peer")
	}
	err = fmt.Errorf("pieces stream: %w: %w", ErrClosed, err)
	d.fail(err)
	return err
}

func (d *dataStream) readEach() error {
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
		if err := d.receive(&answer, c, abandoned); err != nil {
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
func (d *dataStream) receive(a *wire.PieceAnswer, c *call, abandoned bool) error {
	if err := errorOf(a.Status); err != nil {
		d.finish(c, func() { c.err = err })
		return nil
	}
	if abandoned {
		if err := d.discard(int(a.Size)); err != nil {
			return err
		}
		d.finish(c, func() { c.err = errCancelled })
		return nil
	}
	buf := d.buffers.get()
	data := buf.piece()[:a.Size]
	if err := d.readFull(data); err != nil {
		d.buffers.put(buf)
		return err
	}
	d.finish(c, func() { c.data, c.proof, c.buffer = data, a.Proof, buf })
	return nil
}

// finish takes the oldest call off the list and ends it with its result set.
func (d *dataStream) finish(c *call, setResult func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.outstanding[0] = nil
	d.outstanding = d.outstanding[1:]
	<-d.slots
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
