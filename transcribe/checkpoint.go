package transcribe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

const (
	planLimit       = 64 << 20 // bytes of spans.json
	checkpointLimit = 1 << 30  // bytes of segments.jsonl that are read
)

// checkpoint is the work folder of one transcription:
//
//	audio.raw       the audio
//	spans.json      what has to be done; never changed once written
//	segments.jsonl  a line for each finished span, each synced to disk
//
// It is locked while open. After a crash it opens as it was: a torn last line is
// forgotten, and of two lines for one span the last counts.
type checkpoint struct {
	dir  string
	lock *os.File

	mu    sync.Mutex
	lines *os.File
}

// plan is the content of spans.json.
type plan struct {
	Length Offset `json:"length"`
	Spans  []span `json:"spans"`
}

// spanRecord is one line of segments.jsonl.
type spanRecord struct {
	Span     int       `json:"span"`
	Language string    `json:"language,omitempty"`
	Segments []Segment `json:"segments"`
}

// openCheckpoint opens or creates a work folder. The caller closes it.
func openCheckpoint(dir string) (*checkpoint, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create work folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock work folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("lock work folder %s: another transcription of this video is running: %w", dir, err)
	}
	return &checkpoint{dir: dir, lock: lock}, nil
}

func (c *checkpoint) audioPath() string { return filepath.Join(c.dir, "audio.raw") }

// plan reads what has to be done. Without one, or without its audio, the error is
// fs.ErrNotExist.
func (c *checkpoint) plan() (plan, error) {
	var p plan
	data, err := readLimited(filepath.Join(c.dir, "spans.json"), planLimit)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("read spans.json: %w (%w)", err, fs.ErrNotExist)
	}
	info, err := os.Stat(c.audioPath())
	if err != nil {
		return p, err
	}
	if lengthOf(info.Size()) != p.Length {
		return p, fmt.Errorf("audio.raw does not fit spans.json: %w", fs.ErrNotExist)
	}
	for i := range p.Spans {
		p.Spans[i].ID = i
	}
	return p, nil
}

// freeze writes the plan, and forgets results that belonged to an earlier one.
func (c *checkpoint) freeze(p plan) error {
	if err := os.Remove(c.linesPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget old results: %w", err)
	}
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("write spans.json: %w", err)
	}
	return writeFile(filepath.Join(c.dir, "spans.json"), data, 0o600)
}

func (c *checkpoint) linesPath() string { return filepath.Join(c.dir, "segments.jsonl") }

// resume reads the finished spans of the plan and gets ready to add more.
func (c *checkpoint) resume(spans int) (map[int]spanRecord, error) {
	f, err := os.OpenFile(c.linesPath(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open finished spans: %w", err)
	}
	records, whole, err := readRecords(io.LimitReader(f, checkpointLimit), spans)
	if err == nil {
		err = f.Truncate(whole)
	}
	if err == nil {
		_, err = f.Seek(whole, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read finished spans: %w", err)
	}
	c.lines = f
	return records, nil
}

// readRecords reads segments.jsonl and says where its last whole line ends. Lines
// that make no sense are skipped: their spans are done again.
func readRecords(r io.Reader, spans int) (records map[int]spanRecord, whole int64, err error) {
	records = make(map[int]spanRecord)
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return records, whole, nil
		}
		if err != nil {
			return nil, 0, err
		}
		whole += int64(len(line))
		record := spanRecord{Span: -1}
		if json.Unmarshal(bytes.TrimSpace(line), &record) == nil && record.Span >= 0 && record.Span < spans {
			records[record.Span] = record
		}
	}
}

// add records a finished span and returns once it is on disk.
func (c *checkpoint) add(r spanRecord) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("record span %d: %w", r.Span, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.lines.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("record span %d: %w", r.Span, err)
	}
	if err := c.lines.Sync(); err != nil {
		return fmt.Errorf("record span %d: %w", r.Span, err)
	}
	return nil
}

// close lets go of the folder and keeps what is in it.
func (c *checkpoint) close() {
	if c.lines != nil {
		c.lines.Close()
	}
	c.lock.Close()
}

// remove deletes the folder. close is still needed.
func (c *checkpoint) remove() error {
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove work folder: %w", err)
	}
	return nil
}
