package blockstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Badger is kept small: two memtables of 8 MiB and a cache of 8 MiB. All
// values stay in its tables (the longest, a manifest node, is 672 KiB), so the
// value log is empty and needs no collection. Tables keep one size at every
// level, since compaction holds several in memory: that bounds it to about
// 40 MiB however large the index gets.
const (
	memTableBytes   = 8 << 20
	blockCacheBytes = 8 << 20
	valueThreshold  = 1 << 20
	valueLogBytes   = 1 << 20
	tableBytes      = 4 << 20
)

func openBadger(dir string, logger *slog.Logger) (*badger.DB, error) {
	opts := badger.DefaultOptions(dir).
		WithLogger(badgerLogger{logger}).
		WithMetricsEnabled(false).
		WithMemTableSize(memTableBytes).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithBaseTableSize(tableBytes).
		WithBlockCacheSize(blockCacheBytes).
		WithCompression(options.None). // proofs are hashes: nothing to gain
		WithValueThreshold(valueThreshold).
		WithValueLogFileSize(valueLogBytes).
		WithSyncWrites(true).
		WithDetectConflicts(false). // Store.writing lets one writer in at a time
		WithCompactL0OnClose(false) // it made closing a large index take 0.4 s
	opts.TableSizeMultiplier = 1
	if err := dropUnborn(dir); err != nil {
		return nil, err
	}
	db, err := badger.Open(opts)
	if err != nil {
		return nil, openError(err)
	}
	return db, nil
}

// dropUnborn removes the log files that Badger had created but not yet given
// a size when its process was killed. They hold nothing, and Badger does not
// open with them. It takes the lock on the folder that Badger takes: where
// another process has it, Open will say so.
func dropUnborn(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close() // and unlock
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil
	}
	entries, err := d.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".mem" && ext != ".vlog" {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Size() > 0 {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// openError gives Badger's errors the identity that callers branch on.
func openError(err error) error {
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK), strings.Contains(err.Error(), "Cannot acquire directory lock"):
		return fmt.Errorf("%w: %w", ErrInUse, err)
	case strings.Contains(err.Error(), "unsupported version"):
		return fmt.Errorf("%w: %w", ErrNewer, err)
	}
	return err
}

// badgerLogger passes Badger's warnings and errors on and drops the rest.
type badgerLogger struct{ log *slog.Logger }

func (l badgerLogger) Errorf(format string, args ...any)   { l.print(slog.LevelError, format, args) }
func (l badgerLogger) Warningf(format string, args ...any) { l.print(slog.LevelWarn, format, args) }
func (badgerLogger) Infof(string, ...any)                  {}
func (badgerLogger) Debugf(string, ...any)                 {}

func (l badgerLogger) print(level slog.Level, format string, args []any) {
	l.log.Log(context.Background(), level, "badger: "+strings.TrimSpace(fmt.Sprintf(format, args...)))
}
