package blockstore

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"sync"
)

// LogEntry is one entry of the catalogue's log.
type LogEntry struct {
	Video   Video // only CID and Seq if Removed
	Removed bool  // the video is not in the catalogue any more
}

// CatalogueID names this catalogue and the numbers of its log. It is drawn when
// the index is made: numbers of a catalogue with another ID mean nothing here.
func (s *Store) CatalogueID() [16]byte { return s.identity }

// loadIdentity reads the catalogue's ID, or draws one.
func (s *Store) loadIdentity() error {
	key := []byte{identityKey}
	read := func(t txn) error {
		return t.value(key, func(v []byte) error {
			if len(v) != len(s.identity) {
				return fmt.Errorf("%w: identity of %d bytes", errRecord, len(v))
			}
			s.identity = [16]byte(v)
			return nil
		})
	}
	err := s.view(read)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	rand.Read(s.identity[:])
	return s.remove(func(t txn) error { return t.Set(key, s.identity[:]) })
}

// LogSince yields the entries of the catalogue's log with a number above seq,
// in that order, removals among them. Whoever passes the last number it saw
// gets every video that is new or changed since, and those that are gone as far
// as the newest 10,000 removals tell. A video comes once, with its latest entry,
// or twice if it changes meanwhile. It ends with the first error.
func (s *Store) LogSince(seq uint64) iter.Seq2[LogEntry, error] {
	return func(yield func(LogEntry, error) bool) {
		for more := seq+1 != 0; more; {
			var page []LogEntry
			var err error
			if page, more, err = s.logPage(seq + 1); err != nil {
				yield(LogEntry{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
				seq = e.Video.Seq
			}
		}
	}
}

// logPage reads videos and removals in one transaction: between two, a removal
// would go from one to the other unseen.
func (s *Store) logPage(from uint64) (page []LogEntry, more bool, err error) {
	end := ^uint64(0) // of what was read of both
	err = s.view(func(t txn) error {
		for kind, decode := range map[byte]func(entry) (LogEntry, error){logKey: listedAt, tombKey: removedAt} {
			entries, cut, err := t.page([]byte{kind}, numberKey(kind, from))
			if err != nil {
				return err
			}
			for _, e := range entries {
				l, err := decode(e)
				if err != nil {
					return err
				}
				page = append(page, l)
			}
			if cut {
				more, end = true, min(end, page[len(page)-1].Video.Seq)
			}
		}
		return nil
	})
	slices.SortFunc(page, func(a, b LogEntry) int { return cmp.Compare(a.Video.Seq, b.Video.Seq) })
	page = slices.DeleteFunc(page, func(e LogEntry) bool { return e.Video.Seq > end })
	return page, more, err
}

func listedAt(e entry) (LogEntry, error) {
	v, err := videoAt(e)
	return LogEntry{Video: v}, err
}

func removedAt(e entry) (LogEntry, error) {
	seq, err := numberField(e.key[1:])
	if err != nil {
		return LogEntry{}, err
	}
	d, recording, err := decodeTomb(e.value)
	return LogEntry{Video: Video{CID: videoCID(d), Seq: seq, Recording: recording}, Removed: true}, err
}

// Changed returns a channel that is closed with the next change of the
// catalogue. Whoever gets it before it reads the log misses nothing. It stays
// open when the store closes.
func (s *Store) Changed() <-chan struct{} { return s.changed.wait() }

// signal tells all who wait that something happened.
type signal struct {
	mu   sync.Mutex
	next chan struct{} // nil: nobody waits
}

func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

func (s *signal) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}
