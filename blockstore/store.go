// Package blockstore hides where the bytes of videos lie and everything this
// node remembers about them.
//
// Bytes stay in ordinary files. A small Badger index says in which file and at
// which offset every block lies, and holds the proofs, the manifests, the
// receipts of videos that are being fetched, the catalogue and the jobs. A
// file that changed since it was added is noticed by its stamp and never served
// as the old video.
//
// Every change is on stable storage when the call that makes it returns. A
// change too large for one transaction is written so that the last, small
// transaction makes all of it visible; what an interrupted one leaves behind is
// harmless, and Run or GC removes it.
package blockstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/vidsync/vidsync/manifest"
)

var (
	// ErrNewer is returned by Open for an index that a newer version of
	// vidsync wrote. The index is left as it is.
	ErrNewer = errors.New("index was written by a newer version of vidsync")
	// ErrInUse is returned by Open while another process has the index open.
	ErrInUse = errors.New("index is in use by another process")
	// ErrChanged is returned when a file is no longer what was added.
	ErrChanged = errors.New("file changed since it was added")
)

const (
	// tidyInterval is how often Run looks for what interrupted work left behind.
	tidyInterval = 15 * time.Minute
	// dropInterval is how often Run looks at the memory that the index's mapped
	// files take.
	dropInterval = 10 * time.Second
	// maxMappedBytes is how much that may be.
	maxMappedBytes = 24 << 20
	// dropBytes is how many bytes of proofs are written before the writer looks,
	// because Run may not be running.
	dropBytes = 16 << 20
)

// Config tunes a Store. The zero value works.
type Config struct {
	// Logger receives warnings; nil discards them.
	Logger *slog.Logger
	// Journal is the path of a file that outlives the index: what the index can
	// be made again from, a line for each file and job. It lies outside the
	// folder of the index. Missing, it is written from the index. "" keeps none.
	Journal string
	// Journaled tells which jobs the journal lists: those that are to be begun
	// again with a new index. It is called while the store writes and must not
	// use it. Nil lists all.
	Journaled func(Job) bool
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Store is one node's index over its files. It is safe for concurrent use.
type Store struct {
	db  *badger.DB
	dir string
	log *slog.Logger

	// writing is held while a transaction that writes is built and committed,
	// so each one sees all before it. It also guards active and fresh.
	writing sync.Mutex
	active  map[fileID]struct{}          // of imports under way that have written something
	fresh   map[manifest.Digest]struct{} // manifests stored that nothing refers to yet

	queue   queue   // of changes that are committed together
	numbers numbers // of files

	journal  *journal // nil: none is kept; under writing
	changed  signal   // of the catalogue
	identity [16]byte // of the catalogue

	written atomic.Int64 // bytes of proofs since the writer looked at the memory

	sweeping  sync.Mutex // held by whoever removes what is no longer referred to
	reclaimed int64      // bytes of the logs after the last time; under sweeping

	handles *handleCache
	blocks  *blockCache
}

// Open opens the index in dir and creates it if there is none. One process at
// a time may have it open: ErrInUse otherwise. An index whose files are damaged
// is ErrDamaged and left as it is. The caller closes the store.
func Open(dir string, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	dir, err := realPath(dir)
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	if err := checkFormatFile(dir); err != nil {
		return nil, fmt.Errorf("open index %s: %w", dir, err)
	}
	if err := checkRoom(dir, openReserve); err != nil {
		return nil, fmt.Errorf("open index %s: %w", dir, err)
	}
	db, err := openBadger(dir, cfg.Logger)
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", dir, err)
	}
	s := &Store{
		db:      db,
		dir:     dir,
		log:     cfg.Logger,
		active:  make(map[fileID]struct{}),
		fresh:   make(map[manifest.Digest]struct{}),
		handles: newHandleCache(),
		blocks:  newBlockCache(),
	}
	if err := s.load(cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("open index %s: %w", dir, err), db.Close())
	}
	return s, nil
}

// realPath is an absolute path without links, as the kernel knows it.
func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// load reads what the store keeps in memory.
func (s *Store) load(cfg Config) (err error) {
	if err := s.checkFormat(); err != nil {
		return err
	}
	if err := s.loadIdentity(); err != nil {
		return err
	}
	if s.reclaimed, err = s.logBytes(); err != nil {
		return err
	}
	if cfg.Journal != "" {
		s.journal, err = s.openJournal(cfg.Journal, cfg.Journaled)
	}
	return err
}

// Dir is the folder of the index.
func (s *Store) Dir() string { return s.dir }

// Close closes the index and the files it reads from. No other call may be
// running or follow. While the disk is nearly full the index stays open until
// the process ends, with its goroutines and its lock: Badger writes its
// memtable when it closes, through a memory map, where a full disk is a fault
// that kills the process. Nothing is lost, for every change is in Badger's log
// already, and the next process's Open reads it from there.
func (s *Store) Close() error {
	s.handles.closeAll()
	if err := checkRoom(s.dir, openReserve); errors.Is(err, syscall.ENOSPC) {
		s.log.Warn("index is not closed before the process ends", "err", err)
		return nil
	}
	err := errors.Join(s.db.Close(), s.journal.close())
	if err == nil {
		err = writeClosed(s.dir)
	}
	if err != nil {
		return fmt.Errorf("close index %s: %w", s.dir, err)
	}
	return nil
}

// Run keeps the index tidy until ctx ends: it removes what interrupted imports
// and removals left behind, gives space back, and keeps memory low. It always
// returns the context's error.
func (s *Store) Run(ctx context.Context) error {
	tidy, drop := time.NewTicker(tidyInterval), time.NewTicker(dropInterval)
	defer tidy.Stop()
	defer drop.Stop()
	s.tidyNow(ctx)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tidy.C:
			s.tidyNow(ctx)
		case <-drop.C:
			s.dropPages()
		}
	}
}

// tidyNow does what Run does now and then. What fails is tried again next time.
func (s *Store) tidyNow(ctx context.Context) {
	s.sweeping.Lock()
	_, err := s.tidy(ctx)
	err = errors.Join(err, s.reclaimGrown(ctx))
	s.sweeping.Unlock()
	s.writing.Lock()
	err = errors.Join(err, s.journal.compact())
	s.writing.Unlock()
	if err != nil && ctx.Err() == nil {
		s.log.Warn("tidy index", "err", err)
	}
}

// dropPages keeps the memory low that mapped files take.
func (s *Store) dropPages() {
	s.written.Store(0)
	if err := dropMapped(s.dir, maxMappedBytes); err != nil {
		s.log.Debug("drop mapped pages", "err", err)
	}
}
