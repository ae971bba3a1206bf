package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

const (
	// scrubRate in bytes a second keeps a disk free for other things: 1 TB in
	// twelve hours.
	scrubRate = 24_000_000
	// scrubSave is how often a scrub notes how far it is.
	scrubSave = 30 * time.Second
	// scrubLook is the longest pause between two looks at the clock, which may
	// be set or stand still while the machine sleeps.
	scrubLook = 10 * time.Minute
	// maxScrubBad bounds the bad pieces of a file that a note holds.
	maxScrubBad = 200

	scrubKind, scrubKey = "scrub", "position"
)

// scrubPosition is how far a scrub is, and what it has seen, as stored.
type scrubPosition struct {
	Due   time.Time    `json:"due"` // of the next pass, or of the one under way
	Seq   uint64       `json:"seq,omitempty"`
	Path  string       `json:"path,omitempty"` // of the file being read
	Block int          `json:"block,omitempty"`
	Bad   []api.Damage `json:"bad,omitempty"` // in that file so far

	Began    time.Time `json:"began"` // the last pass; zero: there was none
	Ended    time.Time `json:"ended"`
	Bytes    int64     `json:"bytes"`
	Found    int       `json:"found"` // bad pieces
	Repaired int       `json:"repaired"`
}

// scrubber reads every video here again from time to time, slowly, and gets
// bad pieces from peers. A restart goes on where it was.
type scrubber struct {
	node  *Node
	every time.Duration
	pace  *pacer

	at     scrubPosition
	saved  time.Time
	unused atomic.Int64 // what a checker counts and a scrub does not need
}

// sweepCopies removes the copies that have got their names, but that a killed
// process did not record.
func (n *Node) sweepCopies() {
	removed, err := assemble.SweepNoted(n.store)
	if len(removed) > 0 || err != nil {
		n.log.Info("removed copies that were not recorded", "paths", removed, "error", err)
	}
}

// tidyVideos sees to the files of videos in the background: what killed copies
// left, then what a disk has forgotten.
func (n *Node) tidyVideos(ctx context.Context) error {
	removed, err := assemble.Sweep(n.cfg.Paths.Videos)
	if len(removed) > 0 || err != nil {
		n.log.Info("removed unfinished copies", "paths", removed, "error", err)
	}
	if !n.cfg.Serve {
		return nil
	}
	return n.scrub(ctx, n.cfg.Scrub)
}

// scrub works until ctx ends. every is the time between two passes, 0 for none.
func (n *Node) scrub(ctx context.Context, every time.Duration) error {
	if every <= 0 {
		return nil
	}
	s := &scrubber{node: n, every: every, pace: newPacer()}
	s.pace.set(scrubRate)
	if err := s.load(); err != nil {
		return err
	}
	for {
		if wait := time.Until(s.at.Due); wait > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(min(wait, scrubLook)):
				continue
			}
		}
		if err := s.pass(ctx); err != nil {
			return err
		}
	}
}

// load finds where the last process stopped. The first pass of a new home is
// due when its videos have been here for a while.
func (s *scrubber) load() error {
	data, err := s.node.store.State(scrubKind, scrubKey)
	if err == nil {
		err = json.Unmarshal(data, &s.at)
	}
	if errors.Is(err, fs.ErrNotExist) {
		s.at.Due = time.Now().Add(s.every)
		err = s.save()
	}
	if next := time.Now().Add(s.every); s.at.Due.After(next) {
		s.at.Due = next // it was rarer, or the clock was wrong
	}
	if err != nil {
		return fmt.Errorf("scrub: %w", err)
	}
	return nil
}

func (s *scrubber) save() error {
	s.saved = time.Now()
	s.at.Bad = s.at.Bad[:min(len(s.at.Bad), maxScrubBad)]
	data, err := json.Marshal(s.at)
	if err == nil {
		err = s.node.store.PutState(scrubKind, scrubKey, data)
	}
	if err != nil {
		return fmt.Errorf("scrub: %w", err)
	}
	return nil
}

// pass reads what is left of a pass. Trouble with a file is logged and does not
// end it.
func (s *scrubber) pass(ctx context.Context) error {
	if s.at.Seq == 0 && s.at.Path == "" {
		s.at.Began, s.at.Bytes, s.at.Found, s.at.Repaired = time.Now(), 0, 0, 0
	}
	for v, err := range s.node.store.VideosSince(s.at.Seq) {
		if err == nil {
			err = s.video(ctx, v)
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), s.save())
		}
		if err != nil {
			s.node.log.Warn("video was not scrubbed", "video", v.CID, "name", v.Name, "error", err)
		}
		s.at.Seq, s.at.Path, s.at.Block, s.at.Bad = v.Seq, "", 0, nil
		if err := s.save(); err != nil {
			return err
		}
	}
	s.at.Seq, s.at.Ended = 0, time.Now()
	s.at.Due = s.at.Began.Add(s.every)
	s.node.log.Info("every video was read again", "bytes", s.at.Bytes, "bad_pieces", s.at.Found, "repaired", s.at.Repaired,
		"took", s.at.Ended.Sub(s.at.Began).Round(time.Second))
	return s.save()
}

func (s *scrubber) video(ctx context.Context, v blockstore.Video) error {
	m, err := s.node.lib.manifest(ctx, v.CID)
	if err != nil {
		return err
	}
	files, err := s.node.store.Files(v.CID)
	if err != nil {
		return err
	}
	var failed error
	for _, f := range files {
		if s.at.Path != "" && s.at.Path != f.Path {
			continue // read before the restart
		}
		if err := s.file(ctx, v, m, f); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", f.Path, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.at.Path, s.at.Block, s.at.Bad = "", 0, nil
	}
	return failed
}

// file reads a file from where the pass is. One that was edited is not the
// video any more, which a look at it tells without reading.
func (s *scrubber) file(ctx context.Context, v blockstore.Video, m *manifest.Manifest, f blockstore.File) error {
	file, err := openRegular(f.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || blockstore.StampOf(info) != f.Stamp {
		return err
	}
	c := checker{node: s.node, m: m, path: f.Path, done: &s.unused, info: info, bad: s.at.Bad}
	s.at.Path = f.Path
	buf := make([]byte, manifest.PieceSize)
	for ; s.at.Block < m.NumBlocks(); s.at.Block++ {
		b := m.Block(s.at.Block)
		if err := c.block(ctx, paced{ctx, file, s.pace}, b, buf); err != nil {
			return err
		}
		s.at.Bytes, s.at.Bad = s.at.Bytes+b.Len, c.bad
		if time.Since(s.saved) > scrubSave {
			if err := s.save(); err != nil {
				return err
			}
		}
	}
	return s.settle(ctx, v, f, &c)
}

// settle says what was found in a file, and mends it.
func (s *scrubber) settle(ctx context.Context, v blockstore.Video, f blockstore.File, c *checker) error {
	s.node.noteDamage(f, c)
	if len(c.bad) == 0 {
		return nil
	}
	s.at.Found += len(c.bad)
	s.node.log.Error("bytes on disk are not what they were", "video", v.CID, "path", f.Path,
		"pieces", len(c.bad), "offset", c.bad[0].Offset, "length", c.bad[0].Length)
	repaired, err := s.node.repair(ctx, v, f, c)
	s.at.Repaired += repaired
	if err == nil {
		s.node.log.Info("damage was mended from peers", "video", v.CID, "path", f.Path, "pieces", repaired)
	}
	return err
}

// checkScrub tells when every video was last read.
func (n *Node) checkScrub() api.Check {
	c := api.Check{Name: "scrub", State: checkOK}
	var at scrubPosition
	data, err := n.store.State(scrubKind, scrubKey)
	if err == nil {
		err = json.Unmarshal(data, &at)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Detail = "has not been due yet; a daemon does it"
	case err != nil:
		c.State, c.Detail, c.Remedy = checkProblem, err.Error(), "look at the log; the index may be damaged"
	case at.Ended.IsZero():
		c.Detail = "due on " + at.Due.Local().Format(time.DateTime)
	default:
		c.Detail = fmt.Sprintf("every video was read by %s; bad pieces: %d, mended: %d", at.Ended.Local().Format(time.DateTime), at.Found, at.Repaired)
	}
	if at.Found > at.Repaired {
		c.State, c.Remedy = checkWarning, "see vidsync ls; vidsync verify --repair REF mends from peers"
	}
	return c
}

// paced reads no faster than a pacer lets it.
type paced struct {
	ctx  context.Context
	file io.ReaderAt
	pace *pacer
}

// ReadAt implements io.ReaderAt.
func (p paced) ReadAt(data []byte, offset int64) (int, error) {
	for left := len(data); left > 0; left -= protocol.PaceBytes {
		if err := p.pace.WaitN(p.ctx, min(left, protocol.PaceBytes)); err != nil {
			return 0, err
		}
	}
	return p.file.ReadAt(data, offset)
}
