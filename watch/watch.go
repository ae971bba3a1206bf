// Package watch hides how files that appear in folders are noticed, and when
// they are finished.
//
// A Folder looks at its whole tree when it starts and again after every pause;
// between two looks the system says what changes, where it can (inotify on
// Linux). Those notices only make it faster: what is true is what the next look
// at a file shows. So lost notices, network file systems and systems without
// them cost time and never a file.
//
// A file is finished when it was closed after writing and is left alone for a
// moment, or when it has not changed for longer, and nobody has it open for
// writing as far as that can be known. How long is measured by this process's
// own clock, from the change it saw last: clocks of cameras do not matter.
package watch

import (
	"context"
	"fmt"
	"log/slog"
	"path"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// DefaultSettle is what a Config.Settle of 0 means.
	DefaultSettle = 10 * time.Second
	rescanDefault = time.Minute
)

// Config says what to watch. Only Dir is required.
type Config struct {
	// Dir is the folder that is watched with everything below it; absolute. It
	// need not be there yet. If it is a symlink, what that names is watched.
	// Symlinks within are not followed. Folders on other file systems within
	// are.
	Dir string
	// Glob lists the names that count: patterns of path.Match for the last
	// element of a path, upper and lower case alike. Empty means DefaultGlob.
	// Names that begin with a dot or end as unfinished files do (~, .part,
	// .partial, .tmp, .crdownload, .download) never count, nor does what lies
	// in a folder whose name begins with a dot.
	Glob []string
	// Settle is how long a file must be unchanged to be finished if it is not
	// known that it was closed after writing; 0 means 10 seconds. One that was
	// closed needs a second, or Settle if that is less.
	Settle time.Duration
	// Rescan is the pause between two looks at everything; 0 means a minute.
	Rescan time.Duration
	// Live also reports files that grow.
	Live bool
	// Together is how many events Finished of files that are shorter than Short,
	// in bytes, handle may be called for at once; 0 means 1. All other events are
	// told alone.
	Together int
	Short    int64
	// Logger is told what is passed over and why; nil discards.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if len(c.Glob) == 0 {
		c.Glob = DefaultGlob()
	}
	if c.Settle <= 0 {
		c.Settle = DefaultSettle
	}
	if c.Rescan <= 0 {
		c.Rescan = rescanDefault
	}
	if c.Together <= 0 {
		c.Together = 1
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Known is what the caller remembers of the files it was told about.
type Known interface {
	// Seen tells whether the file that is now at path and has that identity was
	// dealt with, and under which path it is on record; path itself if it is on
	// record under several. A file is the same if size and modification time are
	// equal and either the path or device and inode are. The change time says
	// nothing when paths differ, because renaming sets it. At the same path the
	// caller decides: a file whose change time alone differs had its mode, owner
	// or links changed, or was rewritten by something that put its modification
	// time back.
	//
	// It is asked once for every file found that is not yet known in this Run,
	// and again before every event Finished or Moved; one call at a time. An
	// error is logged and the file is tried again later.
	Seen(path string, id Identity) (was string, ok bool, err error)
}

// Folder watches one folder tree.
type Folder struct {
	cfg   Config
	names names
	known Known
	// listen starts the system's notices; export_test.go replaces it.
	listen func(Config) (notifier, error)
	looked atomic.Bool // see Scanned
}

// New returns a Folder that does nothing until Run. It fails if Dir is not
// absolute or a pattern of Glob is malformed (path.ErrBadPattern).
func New(cfg Config, known Known) (*Folder, error) {
	cfg = cfg.withDefaults()
	if !filepath.IsAbs(cfg.Dir) {
		return nil, fmt.Errorf("watch %q: not an absolute path", cfg.Dir)
	}
	cfg.Dir = filepath.Clean(cfg.Dir)
	for _, pattern := range cfg.Glob {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("watch %s: pattern %q: %w", cfg.Dir, pattern, err)
		}
	}
	return &Folder{cfg: cfg, names: newNames(cfg.Glob), known: known, listen: openNotifier}, nil
}

// Run watches until ctx is done and then returns nil, once a call of handle in
// progress has returned. It must not run twice at a time.
//
// handle is called for one event at a time, except for short files as Config
// says, and may take as long as it needs; meanwhile Run goes on noticing. It is
// never called for two events of one path, or of one file, at a time. Once it returned nil for Finished or Moved,
// Known must know the file at its new path. If it returns an error that is
// logged and the same is tried again, after pauses that grow from 5 seconds to
// 10 minutes, as long as it still holds.
//
// A file system that does not answer (a dead network mount) holds Run up, and
// its end as well.
func (f *Folder) Run(ctx context.Context, handle func(context.Context, Event) error) error {
	f.looked.Store(false)
	t := newTracker(f)
	heard := newNotes()
	g, ctx := errgroup.WithContext(ctx)
	if n, err := f.listen(f.cfg); err == nil {
		t.notifier = n
		g.Go(func() error {
			n.run(ctx, heard)
			return nil
		})
	} else {
		t.log.Info("folder is watched by looking at it again and again", "pause", f.cfg.Rescan, "reason", err)
	}
	h := handler{group: g, handle: handle, results: make(chan result)}
	g.Go(func() error { return t.run(ctx, heard, h) })
	return g.Wait()
}
