package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// servePieces answers requests for pieces in order, until the client closes
// its side. One half reads requests into a bounded queue, the other answers.
func (in *incoming) servePieces(ctx context.Context) error {
	var open wire.Open
	if err := in.read(&open, MaxOpenBytes); err != nil {
		return fmt.Errorf("read open: %w", err)
	}
	p, err := in.openPieces(&open)
	if err != nil {
		return in.decline(err, &wire.Opened{Status: statusOf(err)})
	}
	if err := in.write(&wire.Opened{Status: wire.Status_STATUS_OK}); err != nil {
		return fmt.Errorf("write opened: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(p.queue)
		return in.failing(p.readRequests(ctx))
	})
	g.Go(func() error { return in.failing(p.answerAll(ctx)) })
	return g.Wait()
}

func (in *incoming) openPieces(open *wire.Open) (*pieceFeed, error) {
	video, err := in.admit(open.Video, open.Capability)
	if err != nil {
		return nil, err
	}
	bounds, _, err := in.server.cfg.Library.Holdings(video)
	if err != nil {
		err = fmt.Errorf("holdings of %s: %w", video, err)
		in.server.logInternal("cannot serve pieces", err)
		return nil, err
	}
	return &pieceFeed{
		incoming: in,
		video:    video,
		bounds:   bounds,
		queue:    make(chan *pieceRequest, MaxOutstanding),
		waiting:  make(map[uint64]*pieceRequest),
	}, nil
}

// pieceFeed is an opened pieces stream.
type pieceFeed struct {
	*incoming
	video  cid.Cid
	bounds *manifest.Holdings // tells which pieces the video has
	queue  chan *pieceRequest // closed by the half that reads

	gets, extra int    // requests read, by kind
	impossible  int    // Gets of pieces that the video has not got
	lastID      uint64 // of the last Get

	header, proof []byte // of the answer being written, used again

	mu      sync.Mutex
	waiting map[uint64]*pieceRequest // those in the queue
}

type pieceRequest struct {
	id           uint64
	block, piece uint32
	cancelled    bool // guarded by pieceFeed.mu while the request is waiting
}

func (p *pieceFeed) readRequests(ctx context.Context) error {
	var req wire.PieceRequest
	for {
		if err := p.await(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("await piece request: %w", err)
		}
		if err := p.read(&req, MaxRequestBytes); err != nil {
			return fmt.Errorf("read piece request: %w", err)
		}
		if get := req.GetGet(); get != nil {
			if err := p.enqueue(ctx, get); err != nil {
				return err
			}
			continue
		}
		if p.extra++; p.extra > 2*p.gets+MaxExtraRequests {
			return fmt.Errorf("%w: %d other requests for %d pieces", ErrProtocol, p.extra, p.gets)
		}
		p.handleExtra(&req)
	}
}

// enqueue blocks while the queue is full. The stream then fills up, and the
// client has to wait.
func (p *pieceFeed) enqueue(ctx context.Context, get *wire.Get) error {
	if get.Id <= p.lastID {
		return fmt.Errorf("%w: request %d after request %d", ErrProtocol, get.Id, p.lastID)
	}
	if !p.exists(get.Block, get.Piece) {
		p.impossible++
	}
	if p.impossible > MaxImpossibleGets {
		return fmt.Errorf("%w: %d requests for pieces that the video has not got", ErrProtocol, p.impossible)
	}
	p.gets++
	p.lastID = get.Id
	req := &pieceRequest{id: get.Id, block: get.Block, piece: get.Piece}
	p.mu.Lock()
	p.waiting[req.id] = req
	p.mu.Unlock()
	select {
	case p.queue <- req:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// handleExtra takes note of a Cancel or a Bad. Kinds from newer versions are
// passed over.
func (p *pieceFeed) handleExtra(req *wire.PieceRequest) {
	if c := req.GetCancel(); c != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if waiting := p.waiting[c.Id]; waiting != nil {
			waiting.cancelled = true
		}
		return
	}
	bad := req.GetBad()
	library, able := p.server.cfg.Library.(BadPieces)
	if bad == nil || !able || !p.exists(bad.Block, bad.Piece) || !p.server.mayReport() {
		return
	}
	library.BadPiece(p.video, int(bad.Block), int(bad.Piece))
}

// mayReport tells whether another bad piece may be reported to the Library.
func (s *Server) mayReport() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.lastReport) < reportEvery {
		return false
	}
	s.lastReport = time.Now()
	return true
}

func (p *pieceFeed) exists(block, piece uint32) bool {
	return int64(block) < int64(p.bounds.NumBlocks()) && piece < manifest.PiecesPerBlock &&
		p.bounds.FullMask(int(block))&(1<<piece) != 0
}

func (p *pieceFeed) answerAll(ctx context.Context) error {
	for {
		select {
		case req, ok := <-p.queue:
			if !ok {
				return nil
			}
			if err := p.answer(ctx, req); err != nil {
				return fmt.Errorf("answer piece %d of block %d of %s: %w", req.piece, req.block, p.video, err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *pieceFeed) answer(ctx context.Context, req *pieceRequest) error {
	if err := p.begin(req); err != nil {
		return p.writeStatus(req.id, err)
	}
	turn, err := p.takeTurn(ctx)
	if err != nil {
		return p.writeStatus(req.id, err)
	}
	defer p.giveTurn(turn)
	buf := p.server.buffers.get()
	defer p.server.buffers.put(buf)
	data, err := p.load(ctx, req, buf)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return p.writeStatus(req.id, err)
	}
	return p.writePiece(ctx, turn, req.id, buf, data)
}

// begin takes the request off the list of those that can be cancelled.
func (p *pieceFeed) begin(req *pieceRequest) error {
	p.mu.Lock()
	delete(p.waiting, req.id)
	p.mu.Unlock()
	if req.cancelled {
		return errCancelled
	}
	if !p.exists(req.block, req.piece) {
		return errInvalid
	}
	return nil
}

// takeTurn waits for the turn of the peer to have one more piece in memory.
func (p *pieceFeed) takeTurn(ctx context.Context) (*place, error) {
	ctx, cancel := context.WithTimeout(ctx, p.server.cfg.BusyAfter)
	defer cancel()
	turn, err := p.server.pieces.take(ctx, p.peer)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrBusy, err)
	}
	if err := p.stream.Scope().ReserveMemory(pieceBufferBytes, network.ReservationPriorityHigh); err != nil {
		turn.give()
		return nil, fmt.Errorf("%w: %v", ErrBusy, err)
	}
	return turn, nil
}

func (p *pieceFeed) giveTurn(turn *place) {
	p.stream.Scope().ReleaseMemory(pieceBufferBytes)
	turn.give()
}

// load leaves the proof in p.proof.
func (p *pieceFeed) load(ctx context.Context, req *pieceRequest, buf *buffer) ([]byte, error) {
	data, proof, err := p.server.cfg.Library.Piece(ctx, p.video, int(req.block), int(req.piece), buf.piece(), p.proof[:0])
	if err == nil && (len(data) == 0 || len(data) > manifest.PieceSize || len(proof) > manifest.MaxProofBytes) {
		err = fmt.Errorf("library gave %d bytes with a proof of %d", len(data), len(proof))
	}
	if err != nil {
		p.server.logInternal("cannot serve piece", err, "video", p.video, "block", req.block, "piece", req.piece)
		return nil, err
	}
	p.proof = proof
	return data, nil
}

func (p *pieceFeed) writeStatus(id uint64, err error) error {
	return p.write(&wire.PieceAnswer{Id: id, Status: statusOf(err)})
}

// writePiece sends the header and the start of the piece in one write.
func (p *pieceFeed) writePiece(ctx context.Context, turn *place, id uint64, buf *buffer, data []byte) error {
	p.header = appendMessage(p.header[:0], &wire.PieceAnswer{
		Id: id, Status: wire.Status_STATUS_OK, Size: uint32(len(data)), Proof: p.proof,
	})
	if buf.holds(data) {
		return p.writePaced(ctx, turn, buf.message(p.header, len(data)), len(p.header))
	}
	if err := p.writeTurn(turn, p.header); err != nil {
		return err
	}
	return p.writePaced(ctx, turn, data, 0)
}

// writePaced sends a message of which all but the first bytes are a piece, as
// fast as those may leave.
func (p *pieceFeed) writePaced(ctx context.Context, turn *place, src []byte, header int) error {
	for len(src) > 0 {
		n, err := p.server.up.await(ctx, p.peer, len(src)-header)
		if err != nil {
			return err
		}
		n += header
		if err := p.writeTurn(turn, src[:n]); err != nil {
			return err
		}
		src, header = src[n:], 0
	}
	return nil
}

// writeTurn sends raw bytes under the deadline of every stream, and looks now
// and then whether they leave at all: if not, and another needs the buffer that
// they lie in, the stream ends.
func (p *pieceFeed) writeTurn(turn *place, src []byte) error {
	defer turn.rest()
	for len(src) > 0 {
		turn.moved()
		n, err := p.writeMoving(turn, src)
		if err != nil {
			return err
		}
		src = src[n:]
	}
	return nil
}

// writeMoving returns once some of src has been taken. Until then it counts as
// progress if what was taken before gets further on its way.
func (p *pieceFeed) writeMoving(turn *place, src []byte) (moved int, err error) {
	end := time.Now().Add(p.timeout)
	var way *transit
	for {
		n, err := p.writeSome(src[moved:], min(p.server.look, time.Until(end)))
		moved += n
		if err != nil && way == nil {
			way = newTransit(p.stream)
		}
		switch {
		case err == nil, timedOut(err) && moved >= leastProgress:
			return moved, nil
		case timedOut(err) && way.moves():
			turn.moved()
			end = time.Now().Add(p.timeout)
		case !timedOut(err) || !time.Now().Before(end):
			return moved, streamError(err)
		case turn.mustLeave():
			return moved, fmt.Errorf("%w: the client does not read, and others wait", ErrBusy)
		}
	}
}
