package blockstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/vidsync/vidsync/manifest"
)

const (
	// journalSlack is how much a journal may grow whatever it had.
	journalSlack = 64 << 10
	// maxUnsaved is how many bytes of lines that could not be written are kept
	// to be written with the next.
	maxUnsaved = 1 << 20
)

// journal is the file that outlives the index. A nil journal takes nothing. Its
// methods but openJournal are called under Store.writing.
type journal struct {
	path string
	log  *slog.Logger
	keep func(Job) bool

	file    *os.File
	size    int64
	live    int64  // size after the last compaction
	torn    bool   // the file may end within a line
	unsaved []byte // lines
}

// openJournal opens the journal, and writes it from the index if there is none.
func (s *Store) openJournal(path string, keep func(Job) bool) (*journal, error) {
	j := &journal{path: path, log: s.log, keep: keep}
	if keep == nil {
		j.keep = func(Job) bool { return true }
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Size() == 0:
		err = j.rewrite(func(add func(line []byte) error) error { return s.facts(j, add) })
	case err == nil:
		err = j.reopen()
	}
	if err == nil {
		err = j.compact()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open journal: %w", err), j.close())
	}
	return j, nil
}

// reopen begins to append to the file there is.
func (j *journal) reopen() (err error) {
	if err := j.close(); err != nil {
		return err
	}
	if j.file, err = os.OpenFile(j.path, os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		return err
	}
	if j.size, err = j.file.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	last := make([]byte, 1)
	if _, err := j.file.ReadAt(last, j.size-1); err != nil {
		return fmt.Errorf("read %s: %w", j.path, err)
	}
	j.torn = last[0] != '\n'
	j.live, err = readHead(j.file)
	return err
}

// readHead is how long the journal was after it was last compacted: 0 if it
// does not say.
func readHead(r io.ReaderAt) (int64, error) {
	for line, err := range journalLines(io.NewSectionReader(r, 0, maxFactBytes)) {
		if err != nil {
			return 0, err
		}
		f, err := decodeFact(line.text)
		if err != nil || f.Journal == nil {
			return 0, nil
		}
		if f.Journal.Version > journalVersion {
			return 0, fmt.Errorf("journal: %w", ErrNewer)
		}
		live, err := strconv.ParseInt(f.Journal.Live, 10, 64)
		if err != nil || live < 0 {
			return 0, nil
		}
		return live, nil
	}
	return 0, nil
}

func (j *journal) close() error {
	if j == nil || j.file == nil {
		return nil
	}
	file := j.file
	j.file = nil
	return file.Close()
}

// end records what is about to be no longer so.
func (j *journal) end(facts []fact) error {
	if j == nil || len(facts) == 0 {
		return nil
	}
	lines, err := appendFacts(nil, facts)
	if err == nil {
		err = j.append(lines)
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// begin records what is so from now on. The index has it already, so a failure
// is only logged. What could not be written is tried again with the next.
func (j *journal) begin(facts []fact) {
	if j == nil || len(facts) == 0 {
		return
	}
	lines, err := appendFacts(nil, facts)
	if err == nil {
		err = j.append(lines)
	}
	if err == nil {
		return
	}
	j.log.Error("journal lacks what the index has", "path", j.path, "facts", len(facts), "err", err)
	if len(j.unsaved)+len(lines) <= maxUnsaved {
		j.unsaved = append(j.unsaved, lines...)
	}
}

// appendFacts leaves out what cannot be encoded, and returns why.
func appendFacts(lines []byte, facts []fact) ([]byte, error) {
	var failed error
	for _, f := range facts {
		var err error
		if lines, err = appendFact(lines, f); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return lines, failed
}

// append brings lines, and those before them, to stable storage.
func (j *journal) append(lines []byte) error {
	lines = slices.Concat(j.unsaved, lines)
	if j.torn {
		lines = slices.Concat([]byte{'\n'}, lines)
	}
	n, err := j.file.Write(lines)
	j.size += int64(n)
	if err == nil {
		err = j.file.Sync()
	}
	j.torn = err != nil
	if err != nil {
		return err
	}
	j.unsaved = nil
	return nil
}

// facts passes every line that the index stands for to add.
func (s *Store) facts(j *journal, add func(line []byte) error) error {
	addFact := func(f fact) error {
		line, err := appendFact(nil, f)
		if err != nil {
			return err
		}
		return add(line)
	}
	for e, err := range s.scan([]byte{fileKey}, []byte{fileKey}) {
		if err != nil {
			return err
		}
		f, err := decodeFile(e.value)
		if err != nil {
			return err
		}
		v, err := s.Video(f.Video)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = addFact(newFileFact(f, v))
		}
		if err != nil {
			return err
		}
	}
	for job, err := range s.Jobs() {
		if err == nil && j.keep(job) {
			err = addFact(newJobFact(job))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// noteFile has the journal say that f holds v.
func (t txn) noteFile(f File, v Video) {
	if t.effects.journal != nil {
		t.effects.begun = append(t.effects.begun, newFileFact(f, v))
	}
}

// noteForgotten has the journal say that the file at path is none of ours.
func (t txn) noteForgotten(path string) {
	if t.effects.journal != nil {
		t.effects.ended = append(t.effects.ended, forgottenFact(path))
	}
}

// noteVideo has the journal say what changed in the entry of a video, for each
// of its files.
func (t txn) noteVideo(d manifest.Digest, old, v Video) error {
	if t.effects.journal == nil || sameVideo(old, v) {
		return nil
	}
	for _, id := range slices.Collect(t.filesOf(d)) { // one iterator at a time
		f, err := t.file(id)
		if err != nil {
			return err
		}
		t.noteForgotten(f.Path)
		t.noteFile(f, v)
	}
	return nil
}

// noteJob has the journal say what changed with a job, if that counts there. No
// ID means no job.
func (t txn) noteJob(old, j Job) {
	if t.effects.journal == nil {
		return
	}
	was, is := old.ID != "" && t.effects.journal.keep(old), j.ID != "" && t.effects.journal.keep(j)
	same := old.Kind == j.Kind && old.Video == j.Video && string(old.Spec) == string(j.Spec)
	switch {
	case was && !is:
		t.effects.ended = append(t.effects.ended, endedFact(old.ID))
	case is && !(was && same):
		t.effects.begun = append(t.effects.begun, newJobFact(j))
	}
}
