// Package assemble hides how the pieces of one video become one file: where
// the bytes are written, what is safe on disk, and how the file gets its name.
//
// A video being fetched is a part file (NAME.part) in its destination folder,
// of full size from the start. A piece is checked against its block, then
// written at its offset; so a whole video needs a rename and no second copy.
// Receipts in the block store say which pieces are verified and on disk. They
// are committed only after the bytes were flushed, and after a crash they alone
// are trusted: nothing they cover is hashed or fetched again.
package assemble

import (
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

const (
	receiptEvery = 5 * time.Second
	receiptBytes = 256 << 20

	// backlog times ReceiptBytes is how much may be written without a receipt.
	// A Put beyond it commits one itself, which bounds what a crash costs and
	// what is kept in memory when nothing else commits.
	backlog = 4
)

var (
	// ErrExists is returned when another file has the name that was asked for.
	ErrExists = errors.New("another file has this name")
	// ErrPartLost is returned once the part file has been removed, replaced,
	// cut or could not be flushed while it was being written. The File is of
	// no more use: close it; Open goes on from what is left.
	ErrPartLost = errors.New("part file is lost")
	// ErrIncomplete is returned by Finish while pieces are missing.
	ErrIncomplete = errors.New("video is not whole")
)

// Target says where a video goes.
type Target struct {
	Dir  string // folder; created if missing
	Name string // file name; must not contain separators or control characters
	// Exact refuses (ErrExists) a different file that has this name already.
	// Otherwise "NAME (2).ext" is taken, or the next free number.
	Exact bool
}

// Config tunes a File. The zero value is ready for use.
type Config struct {
	// Logger is told why a fetch starts over; nil discards.
	Logger *slog.Logger
	// ReceiptEvery and ReceiptBytes say when Run commits a receipt: so long
	// after the last one, or sooner once so many bytes were written; 0 means
	// 5 seconds and 256 MiB.
	ReceiptEvery time.Duration
	ReceiptBytes int64
	// Reserve is how many bytes Open leaves free on the file system; 0 means
	// 64 MiB where the index lies and elsewhere 1 % of it but at most 64 MiB,
	// less than 0 means none.
	Reserve int64
	// Recording, if set, names the recording that the video is a version of, in
	// at most blockstore.MaxRecording bytes: one that is fetched while it is
	// written has one manifest after the other. Open goes on with the part file
	// of whichever version there is, and keeps the blocks that both have at the
	// same place. There must be one File for a recording at a time.
	Recording string
	// Compared, if set, is called from several goroutines while Open compares
	// an existing file with the video: n more bytes are done.
	Compared func(n int64)

	disk  disk  // nil is the system's; tests set another
	index index // nil is the store; tests set another
}

func (c Config) withDefaults(store *blockstore.Store) Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ReceiptEvery <= 0 {
		c.ReceiptEvery = receiptEvery
	}
	if c.ReceiptBytes <= 0 {
		c.ReceiptBytes = receiptBytes
	}
	if c.disk == nil {
		c.disk = systemDisk{}
	}
	if c.index == nil {
		c.index = store
	}
	return c
}

// phase says how far a video has come.
type phase int

const (
	fetching phase = iota // in the part file
	renamed               // whole under its final name, not yet in the index
	recorded              // in the index
)

// File is one video on its way into one file. Its methods are safe for
// concurrent use. There must be one File for a video at a time.
type File struct {
	store   *blockstore.Store // read here; written through index
	index   index
	disk    disk
	video   *manifest.Manifest
	target  Target // Dir is absolute
	cfg     Config
	repeats map[manifest.Digest]*repeat
	trees   *outboards

	recording string // that the video is a version of, or ""; as the receipt says

	part     *os.File // nil if Open found the video in the index
	partPath string   // where part lies until it is renamed
	space    int64    // bytes of disk that part has at least, unless somebody cuts it
	direct   *os.File // the same file past the page cache; nil if not possible
	noDirect atomic.Bool

	due   chan struct{} // holds one: ReceiptBytes are without a receipt
	again chan struct{} // holds one: repeated has work

	steps  sync.Mutex // held by one receipt, Finish, Close or Remove at a time
	closed bool

	mu          sync.Mutex // guards the rest; never held over I/O
	phase       phase
	final       string
	held        *manifest.Holdings
	changed     chan struct{}      // closed at the next change of held; nil if nobody waits
	busy        map[pieceID]*claim // pieces being written
	unreceipted map[int]*tree      // blocks that changed since the last receipt
	uncovered   int64              // bytes written since then
	repeated    []*repeat          // to be copied inside the file
	lost        error              // why nothing can be written any more
}

func newFile(store *blockstore.Store, m *manifest.Manifest, t Target, cfg Config) *File {
	f := &File{
		store:       store,
		index:       cfg.index,
		disk:        cfg.disk,
		video:       m,
		target:      t,
		cfg:         cfg,
		recording:   cfg.Recording,
		repeats:     repeatsOf(m),
		due:         make(chan struct{}, 1),
		again:       make(chan struct{}, 1),
		held:        manifest.NewHoldings(m.Size()),
		busy:        make(map[pieceID]*claim),
		unreceipted: make(map[int]*tree),
	}
	f.trees = newOutboards(f.loadOutboard)
	return f
}

// Path is where the video will be, or is once Done. It changes when the name
// is taken by another file before Finish.
func (f *File) Path() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.final
}

// Part is the path of the part file; empty if there was none to write.
func (f *File) Part() string { return f.partPath }

// Done tells whether the video lies whole under its final name, so that there
// is nothing to fetch. Finish must still be called: it completes what the index
// has to know.
func (f *File) Done() bool { return f.reached() != fetching }

func (f *File) reached() phase {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.phase
}

// Holdings returns a copy of the verified pieces that ReadPiece can serve, and
// a channel that is closed at the next change.
func (f *File) Holdings() (*manifest.Holdings, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.held.Clone(), f.changed
}

// announce tells who waits that held has changed. f.mu is held.
func (f *File) announce() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// Close commits a last receipt and lets go of the part file, which stays for
// the next Open. Nobody may be using f any more.
func (f *File) Close() error {
	f.steps.Lock()
	defer f.steps.Unlock()
	if f.closed {
		return nil
	}
	var err error
	if f.failure() == nil {
		err = f.commit()
	}
	return errors.Join(err, f.closeHandles())
}

// Remove gives the video up: it deletes the part file and the receipt and
// closes f. A finished file stays.
func (f *File) Remove() error {
	f.steps.Lock()
	defer f.steps.Unlock()
	if f.closed {
		return nil
	}
	var err error
	if f.reached() == fetching {
		err = f.removePart()
	}
	return errors.Join(err, f.dropReceipt(), f.closeHandles())
}

func (f *File) closeHandles() error {
	f.closed = true
	var err error
	for _, h := range []*os.File{f.direct, f.part} {
		if h != nil {
			err = errors.Join(err, closeLocked(h))
		}
	}
	return err
}

// notify leaves a token in a channel that holds one.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
