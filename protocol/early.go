package protocol

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/manifest"
)

// openLateness is how long a manifest that has come waits for the streams that
// are opened with it. That takes none, as a rule, but the peer has a say in it.
const openLateness = time.Second

// earlyStreams are the streams of Run, opened before the manifest is known. What
// the peer answers is left in them, where the streams' windows bound it: the
// length of the holdings cannot be judged without the manifest. So no deadline
// runs for them, and Run reserves the memory that reading them takes.
type earlyStreams struct {
	holdings *framing
	data     []*framing
}

// Begin is Manifest, and opens the streams of Run at the same time, so that Run
// has what the peer holds without another round trip. They are given up if there
// is no manifest; else they last until Run takes them, GiveUp is called or ctx
// ends. It is no error if they could not be opened: Run then opens new ones. Begin may be called once, and not after Run.
//
// Until Run the peer can make this node hold a full window for each of them:
// begin with few peers at a time, and for no longer than it takes to run.
func (r *Remote) Begin(ctx context.Context) (*manifest.Manifest, error) {
	opening, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	g.Go(func() error {
		early, err := r.openEarly(ctx, opening)
		r.setEarly(early)
		return err
	})
	m, err := r.Manifest(ctx)
	if err != nil {
		stop()
	}
	defer time.AfterFunc(openLateness, stop).Stop()
	if openErr := g.Wait(); err != nil || openErr != nil {
		r.GiveUp()
	}
	return m, err
}

// GiveUp drops the streams that Begin has opened, if Run has not taken them. It
// may be called at any time.
func (r *Remote) GiveUp() { r.takeEarly().drop(errNotNeeded) }

// errNotNeeded resets streams that nobody has a use for.
var errNotNeeded = errors.New("not needed")

func (r *Remote) setEarly(early *earlyStreams) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.early = early
}

// takeEarly makes the streams the caller's. There may be none in them.
func (r *Remote) takeEarly() *earlyStreams {
	r.mu.Lock()
	defer r.mu.Unlock()
	early := r.early
	r.early = nil
	if early == nil {
		return new(earlyStreams)
	}
	return early
}

// openEarly opens the streams, which are reset when ctx ends, in the time that
// opening has. It returns those that it could open, also with an error.
func (r *Remote) openEarly(ctx, opening context.Context) (*earlyStreams, error) {
	early := &earlyStreams{data: make([]*framing, r.cfg.DataStreams)}
	var g errgroup.Group
	g.Go(func() (err error) {
		early.holdings, err = r.openEarlyStream(ctx, opening, HoldingsID)
		return err
	})
	for i := range early.data {
		g.Go(func() (err error) {
			early.data[i], err = r.openEarlyStream(ctx, opening, PiecesID)
			return err
		})
	}
	return early, g.Wait()
}

// openEarlyStream opens one of them and sends Open on it.
func (r *Remote) openEarlyStream(ctx, opening context.Context, id protocol.ID) (*framing, error) {
	f, err := r.openStream(opening, id, controlBytes)
	if err != nil {
		return nil, err
	}
	if !f.bind(ctx) {
		f.end(errNotNeeded)
		return nil, errNotNeeded
	}
	if err := f.write(r.openMessage()); err != nil {
		f.end(err)
		return nil, err
	}
	return f, nil
}

// all are the streams that there are.
func (e *earlyStreams) all() []*framing {
	return slices.DeleteFunc(append(slices.Clone(e.data), e.holdings), func(f *framing) bool { return f == nil })
}

// dataAt is one of the streams for pieces; nil if there is none.
func (e *earlyStreams) dataAt(i int) *framing {
	if i < len(e.data) {
		return e.data[i]
	}
	return nil
}

// drop resets the streams.
func (e *earlyStreams) drop(why error) {
	for _, f := range e.all() {
		f.end(why)
	}
}

// bind has ctx's end reset the streams from now on.
func (e *earlyStreams) bind(ctx context.Context) {
	for _, f := range e.all() {
		f.bind(ctx)
	}
}
