package protocol

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// batchPace is the least time that a client takes for a batch that is not full,
// so that a flood of them is held up on the wire.
const batchPace = pushEvery / 4

// FollowCatalogue follows the catalogue of peer p, which must trust this node,
// from where it was left. It blocks until ctx ends, the peer is lost or handle
// fails.
//
// handle is called from one goroutine, with entries in the order of their
// numbers, and with the cursor to go on from once they are dealt with; the
// entries are then its own. Nothing more is read before it returns, so a slow
// handle holds the peer up: if it takes longer than the peer's timeout while
// much is to come, the stream is lost. If the peer's log is not that of from,
// handle is called first without entries, and with the new log at 0: what was
// known of the catalogue before is void, and all of it follows.
//
// The result is ctx's error, or wraps handle's, ErrRefused, ErrBusy, ErrClosed,
// ErrProtocol or what the network said.
func FollowCatalogue(ctx context.Context, h host.Host, p peer.ID, from Cursor,
	handle func(entries []Entry, next Cursor) error, cfg ClientConfig) error {
	err := followCatalogue(ctx, h, p, from, handle, cfg.withDefaults())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("follow the catalogue of %s: %w", p, err)
}

func followCatalogue(ctx context.Context, h host.Host, p peer.ID, from Cursor,
	handle func(entries []Entry, next Cursor) error, cfg ClientConfig) (err error) {
	f, err := openStream(ctx, h, p, CatalogueID, controlBytes, cfg)
	if err != nil {
		return err
	}
	defer func() { f.end(err) }()
	view := &catalogueView{framing: f, at: from, handle: handle}
	if err := view.open(); err != nil {
		return err
	}
	return view.run(ctx)
}

// catalogueView is a catalogue stream of this node.
type catalogueView struct {
	*framing
	at     Cursor
	handle func(entries []Entry, next Cursor) error
}

// open says where to begin, and hears where the server does.
func (c *catalogueView) open() error {
	if err := c.write(&wire.Follow{Log: c.at.Log[:], Seq: c.at.Seq}); err != nil {
		return err
	}
	var msg wire.Following
	if err := c.read(&msg, MaxFollowBytes); err != nil {
		return cutShort(err)
	}
	first, err := c.at.follow(&msg)
	if err != nil || first == c.at {
		return err
	}
	c.at = first
	return c.handle(nil, c.at)
}

// follow returns the cursor that a server begins at.
func (c Cursor) follow(msg *wire.Following) (Cursor, error) {
	if err := errorOf(msg.Status); err != nil {
		return Cursor{}, err
	}
	log, err := logOf(msg.Log)
	if err != nil {
		return Cursor{}, fmt.Errorf("%w: %v", ErrProtocol, err)
	}
	first := Cursor{Log: log}
	if log == c.Log {
		first.Seq = c.Seq
	}
	if msg.From != first.Seq {
		return Cursor{}, fmt.Errorf("%w: catalogue from %d, want %d", ErrProtocol, msg.From, first.Seq)
	}
	return first, nil
}

func (c *catalogueView) run(ctx context.Context) error {
	pace := time.NewTicker(batchPace)
	defer pace.Stop()
	for {
		if err := c.awaitBatch(); err != nil {
			return lost(err)
		}
		full, err := c.takeBatch()
		if err != nil {
			return err
		}
		if full {
			continue // there is more
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// awaitBatch waits for a message for as long as a server may be silent.
func (c *catalogueView) awaitBatch() error {
	_ = c.stream.SetReadDeadline(time.Now().Add(keepaliveEvery + c.timeout))
	return c.peek()
}

// takeBatch handles one message. It may have nothing to say.
func (c *catalogueView) takeBatch() (full bool, err error) {
	if err := c.reserveBatch(); err != nil {
		return false, err
	}
	defer c.releaseBatch()
	entries, err := c.readBatch()
	if err != nil {
		return false, lost(err)
	}
	if len(entries) == 0 {
		return false, nil
	}
	c.at.Seq = entries[len(entries)-1].Seq
	return len(entries) == MaxBatchEntries, c.handle(entries, c.at)
}

func (c *catalogueView) readBatch() ([]Entry, error) {
	var msg wire.CatalogueBatch
	if err := c.read(&msg, MaxBatchBytes); err != nil {
		return nil, err
	}
	return decodeBatch(&msg, c.at.Seq)
}

// lost says that a stream which was opened has ended.
func lost(err error) error { return fmt.Errorf("catalogue stream: %w: %w", ErrClosed, err) }
