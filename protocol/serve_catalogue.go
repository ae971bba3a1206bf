package protocol

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/protocol/internal/wire"
)

const (
	// pushEvery is the least time between two messages about changes.
	pushEvery = 100 * time.Millisecond
	// maxCataloguesPerPeer is how many catalogue streams a peer may have.
	maxCataloguesPerPeer = 4
)

// Catalogue is a node's own list of videos, for others to follow. Its methods
// are called from many goroutines.
type Catalogue interface {
	// Log names the log that the entries' numbers count in. It stays the same
	// for as long as numbers are never used again.
	Log() [16]byte
	// Entries returns at most limit entries with numbers greater than after,
	// in the order of their numbers, and a channel that is closed at the next
	// change (nil: there will be none). Fewer than limit means that there are
	// no more. Entries that break the limits of Entry are left out, with a
	// warning.
	Entries(ctx context.Context, after uint64, limit int) (entries []Entry, changed <-chan struct{}, err error)
}

// serveCatalogue sends the catalogue, then what changes, until the client
// closes its side or is not trusted any more.
func (in *incoming) serveCatalogue(ctx context.Context) error {
	var req wire.Follow
	if err := in.read(&req, MaxFollowBytes); err != nil {
		return fmt.Errorf("read follow: %w", err)
	}
	feed, err := in.openCatalogue(ctx, &req)
	if err != nil {
		return in.decline(err, &wire.Following{Status: statusOf(err)})
	}
	following := &wire.Following{Status: wire.Status_STATUS_OK, Log: feed.log[:], From: feed.after}
	if err := feed.send(following); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return in.failing(in.awaitEnd()) })
	g.Go(func() error { return in.failing(feed.run(ctx)) })
	if err := g.Wait(); !errors.Is(err, errFinished) {
		return err
	}
	return nil
}

// openCatalogue finds out where to begin, and looks up the first entries.
func (in *incoming) openCatalogue(ctx context.Context, req *wire.Follow) (*catalogueFeed, error) {
	if err := in.admitPeer(); err != nil {
		return nil, err
	}
	catalogue := in.server.cfg.Catalogue
	if catalogue == nil {
		return nil, fmt.Errorf("%w: there is no catalogue to follow", ErrRefused)
	}
	known, err := logOf(req.Log)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errInvalid, err)
	}
	if err := in.occupy(in.server.catalogues); err != nil {
		return nil, err
	}
	if err := in.reserveBatch(); err != nil {
		return nil, err
	}
	feed := &catalogueFeed{incoming: in, catalogue: catalogue, log: catalogue.Log()}
	if feed.log == known {
		feed.after = req.Seq
	}
	return feed, feed.look(ctx)
}

// catalogueFeed remembers how far a client has been told.
type catalogueFeed struct {
	*incoming
	catalogue Catalogue
	log       [16]byte
	after     uint64          // number of the last entry that was sent or left out
	entries   []Entry         // that come next
	changed   <-chan struct{} // since entries were looked up
	sent      time.Time       // when the last message was
}

// look gets the next entries.
func (c *catalogueFeed) look(ctx context.Context) (err error) {
	c.entries, c.changed, err = c.catalogue.Entries(ctx, c.after, MaxBatchEntries)
	if err == nil && len(c.entries) > MaxBatchEntries {
		err = fmt.Errorf("catalogue gave %d entries", len(c.entries))
	}
	last := c.after
	for _, e := range c.entries {
		if err == nil && e.Seq <= last {
			err = fmt.Errorf("catalogue gave entry %d after %d", e.Seq, last)
		}
		last = e.Seq
	}
	if err != nil && ctx.Err() == nil {
		c.server.logInternal("cannot serve catalogue", err)
	}
	return err
}

func (c *catalogueFeed) run(ctx context.Context) error {
	for {
		more := len(c.entries) == MaxBatchEntries
		if err := c.push(); err != nil {
			return err
		}
		if !more {
			if err := c.rest(ctx); err != nil {
				return err
			}
		}
		if err := c.look(ctx); err != nil {
			return fmt.Errorf("entries after %d: %w", c.after, err)
		}
	}
}

// rest gives memory back and returns when there is more to tell.
func (c *catalogueFeed) rest(ctx context.Context) error {
	c.out = nil
	c.releaseBatch()
	if err := c.awaitChange(ctx); err != nil {
		return err
	}
	return c.reserveBatch()
}

// push sends the entries that were looked up, in as many messages as they need.
func (c *catalogueFeed) push() error {
	var batch wire.CatalogueBatch
	size := 0
	for _, data := range c.takeEncoded() {
		if size+entryBytes(data) > MaxBatchBytes {
			if err := c.sendTrusted(&batch); err != nil {
				return err
			}
			batch.Entries, size = nil, 0
		}
		batch.Entries = append(batch.Entries, data)
		size += entryBytes(data)
	}
	if len(batch.Entries) == 0 {
		return nil
	}
	return c.sendTrusted(&batch)
}

// takeEncoded returns the messages of the entries that were looked up, without
// those that break the limits.
func (c *catalogueFeed) takeEncoded() [][]byte {
	encoded := make([][]byte, 0, len(c.entries))
	var reason error
	for _, e := range c.entries {
		c.after = e.Seq
		data, err := encodeEntry(e)
		if err != nil {
			reason = fmt.Errorf("entry %d: %w", e.Seq, err)
			continue
		}
		encoded = append(encoded, data)
	}
	if reason != nil {
		c.server.cfg.Logger.Warn("catalogue entries cannot be sent", "count", len(c.entries)-len(encoded), "error", reason)
	}
	c.entries = nil
	return encoded
}

// sendTrusted sends a batch if the peer is still trusted.
func (c *catalogueFeed) sendTrusted(batch *wire.CatalogueBatch) error {
	if err := c.admitPeer(); err != nil {
		return err
	}
	return c.send(batch)
}

func (c *catalogueFeed) send(m proto.Message) error {
	if err := c.write(m); err != nil {
		return fmt.Errorf("write catalogue: %w", err)
	}
	c.sent = time.Now()
	return nil
}

// awaitChange returns when there is something to tell and some time has
// passed since the last look, so that changes are told together.
func (c *catalogueFeed) awaitChange(ctx context.Context) error {
	pause := time.NewTimer(pushEvery)
	defer pause.Stop()
	if err := c.keepAlive(ctx); err != nil {
		return err
	}
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keepAlive sends an empty message after each long silence, until something
// has changed.
func (c *catalogueFeed) keepAlive(ctx context.Context) error {
	silence := time.NewTimer(time.Until(c.sent.Add(keepaliveEvery)))
	defer silence.Stop()
	for {
		select {
		case <-c.changed:
			return nil
		case <-silence.C:
			if err := c.sendTrusted(&wire.CatalogueBatch{}); err != nil {
				return err
			}
			silence.Reset(keepaliveEvery)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
