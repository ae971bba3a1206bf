package blockstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Badger keeps proofs of full blocks and whatever else is as long in its value
// log, and in its tables little more than a hundred bytes a block. With the
// proofs in the tables, compaction wrote them again and again: after an import of
// 100,000 blocks it took 330 MiB at the next start, and the import three times
// as long. Now the next start takes 30 MiB.
//
// There are two memtables of 8 MiB and a cache of 8 MiB. Tables keep one size at
// every level, and a small one, since compaction builds up to eight at a time in
// twice their size. Logs are small because opening reads the last one, and
// because a log is the unit in which space is given back.
const (
	memTableBytes   = 8 << 20
	blockCacheBytes = 8 << 20
	valueThreshold  = 1920 // below the 1,984 bytes of a full block's proof
	valueLogBytes   = 16 << 20
	tableBytes      = 1 << 20
)

// prepare has just held the lock that Badger then takes. A process that is being
// started meanwhile has a copy of it until it runs its program.
const (
	lockPatience = 2 * time.Second
	lockPause    = 5 * time.Millisecond
)

func badgerOptions(dir string, logger *slog.Logger) badger.Options {
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
		WithChecksumVerificationMode(options.OnBlockRead).
		WithVerifyValueChecksum(true).
		WithSyncWrites(true).
		WithDetectConflicts(false). // Store.writing lets one writer in at a time
		WithCompactL0OnClose(false) // it makes closing a large index take seconds
	opts.TableSizeMultiplier = 1
	return opts
}

func openBadger(dir string, logger *slog.Logger) (*badger.DB, error) {
	opts := badgerOptions(dir, logger)
	if err := prepare(dir, opts); err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockPatience); ; time.Sleep(lockPause) {
		db, err := openGuarded(opts)
		if err == nil {
			return db, nil
		}
		if err = openError(err); !errors.Is(err, ErrInUse) || time.Now().After(end) {
			return nil, err
		}
	}
}

// dropUnborn removes the log files that Badger had created but not yet given
// a size when its process was killed. They hold nothing, and Badger does not
// open with them. The caller holds the lock on the folder.
func dropUnborn(dir string) error {
	entries, err := os.ReadDir(dir)
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

// unsupportedVersion is what Badger says of files of a later version.
const unsupportedVersion = "unsupported version"

// openError gives Badger's errors the identity that callers branch on. Badger
// does not wrap errors, so their texts have to tell.
func openError(err error) error {
	switch {
	case errors.Is(err, ErrDamaged):
		return err
	case errors.Is(err, syscall.EWOULDBLOCK), strings.Contains(err.Error(), "Cannot acquire directory lock"):
		return fmt.Errorf("%w: %w", ErrInUse, err)
	case strings.Contains(err.Error(), unsupportedVersion):
		return fmt.Errorf("%w: %w", ErrNewer, err)
	}
	for _, ofSystem := range []syscall.Errno{
		syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
		syscall.ENOSPC, syscall.EDQUOT, syscall.EIO,
	} {
		if strings.Contains(err.Error(), ofSystem.Error()) {
			return err
		}
	}
	return damaged(err)
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
