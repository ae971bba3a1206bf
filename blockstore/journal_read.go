package blockstore

import (
	"fmt"
	"io"
	"iter"
	"os"
)

// JournalEntry is one thing that a journal says is so: that File holds Video,
// or that Job is to be done.
type JournalEntry struct {
	File  File  // Path is "" for a job. Of Stamp only the size is known
	Video Video // as the catalogue had it, without Seq
	Job   Job   // ID is "" for a file. Without State and what came of attempts
}

// ReadJournal yields what the journal at path says is so, in the order in which
// it came to be: not what ended since. Errors tell of damaged lines, and the
// next entries follow; a torn last line is one of them. Only an error of reading
// ends it. A damaged line may have said that something ended, so what comes out
// beside damage is to be looked at, not taken for granted. The index need not be
// closed: what it appends meanwhile is not seen. Some 50 bytes a line are held
// in memory.
func ReadJournal(path string) iter.Seq2[JournalEntry, error] {
	return func(yield func(JournalEntry, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(JournalEntry{}, fmt.Errorf("read journal: %w", err))
			return
		}
		defer f.Close() // read only: nothing to lose
		for line, err := range liveLines(f) {
			var e JournalEntry
			if err == nil {
				e, err = line.entry()
			}
			if err != nil {
				err = fmt.Errorf("read journal %s: line %d: %w", path, line.number, err)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (l journalLine) entry() (JournalEntry, error) {
	f, err := decodeFact(l.text)
	if err != nil {
		return JournalEntry{}, err
	}
	return f.entry()
}

// liveLines yields the lines of a journal that claim something and are the last
// about it. An error with a line number tells of that line, and the next follow;
// one without ends it.
func liveLines(f *os.File) iter.Seq2[journalLine, error] {
	return func(yield func(journalLine, error) bool) {
		end, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			yield(journalLine{}, err)
			return
		}
		last, err := lastLines(io.NewSectionReader(f, 0, end))
		if err != nil {
			yield(journalLine{}, err)
			return
		}
		for line, err := range journalLines(io.NewSectionReader(f, 0, end)) {
			if err == nil && len(line.text) == 0 && line.text != nil {
				continue // after a torn line
			}
			if err == nil {
				err = checkFact(line.text)
			}
			if about, ok := subjectOf(line.text); err == nil && (!ok || !about.claims || last[about.key] != line.number) {
				continue
			}
			if !yield(line, err) {
				return
			}
		}
	}
}

// lastLines finds the number of the last line about each thing.
func lastLines(r io.Reader) (map[factKey]int, error) {
	last := make(map[factKey]int)
	for line, err := range journalLines(r) {
		if err != nil {
			return nil, err
		}
		if checkFact(line.text) != nil {
			continue // told of by the second reading
		}
		if about, ok := subjectOf(line.text); ok {
			last[about.key] = line.number
		}
	}
	return last, nil
}
