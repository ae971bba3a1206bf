package blockstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

const (
	// garbageRatio is the part of a log that has to be garbage before what is
	// left of it is written again and the log deleted.
	garbageRatio = 0.5
	// reclaimSlack is how much the logs may grow, besides doubling, before Run
	// looks for garbage in them.
	reclaimSlack = 64 << 20
)

// reclaim gives the space of the value log back. Badger learns what is garbage
// when it compacts its tables, which are small, so these come first. The caller
// holds s.sweeping.
func (s *Store) reclaim(ctx context.Context) error {
	if err := s.flush(); err != nil {
		return fmt.Errorf("compact index: %w", err)
	}
	if err := s.db.Flatten(1); err != nil {
		return fmt.Errorf("compact index: %w", err)
	}
	for {
		if err := errors.Join(ctx.Err(), checkRoom(s.dir, openReserve)); err != nil {
			return err
		}
		err := s.db.RunValueLogGC(garbageRatio)
		if errors.Is(err, badger.ErrNoRewrite) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("compact index: %w", err)
		}
	}
}

// flush has Badger write its memtable to a table. It has no call for that, but
// does it when it drops keys: here one that is there for nothing else.
func (s *Store) flush() error {
	if err := checkRoom(s.dir, openReserve); err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	key := []byte{flushKey}
	if err := s.commit(func(t txn) error { return t.Set(key, nil) }); err != nil {
		return err
	}
	return s.db.DropPrefix(key)
}

// reclaimGrown is reclaim if the logs have doubled since the last time. The
// caller holds s.sweeping.
func (s *Store) reclaimGrown(ctx context.Context) error {
	size, err := s.logBytes()
	if err != nil || size <= 2*s.reclaimed+reclaimSlack {
		return err
	}
	if err := s.reclaim(ctx); err != nil {
		return err
	}
	s.reclaimed, err = s.logBytes()
	return err
}

// logBytes is the size of the value log.
func (s *Store) logBytes() (size int64, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".vlog" {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		size += info.Size()
	}
	return size, nil
}
