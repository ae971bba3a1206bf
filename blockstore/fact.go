package blockstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/vidsync/vidsync/manifest"
)

// The journal has a fact a line. A line is a JSON object whose last member,
// "sum", is the CRC-32C in hexadecimal of the object without that member:
//
//	{"journal":{"version":1,"live":"00000000000000004711"},"sum":"0a1b2c3d"}
//	{"file":{"path":"/videos/a.mp4","video":"bafy...","size":1},"sum":"..."}
//	{"forgotten":"/videos/a.mp4","sum":"..."}
//	{"job":{"id":"fetch/bafy...","kind":"fetch","spec":"e30="},"sum":"..."}
//	{"ended":"fetch/bafy...","sum":"..."}
//
// The last fact about a path or a job counts. A path or an ID is always the first
// in its line, and encoded in one way only. A line that begins in none of these
// ways is of a later version and passed over.

// fact is one line. One member is set.
type fact struct {
	Journal   *journalHead `json:"journal,omitempty"`
	File      *fileFact    `json:"file,omitempty"`
	Forgotten *text        `json:"forgotten,omitempty"` // path
	Job       *jobFact     `json:"job,omitempty"`
	Ended     *text        `json:"ended,omitempty"` // job ID
}

const (
	journalVersion = 1
	// maxFactBytes is the longest line: a record whose every byte is escaped.
	maxFactBytes = 8 * maxRecordBytes
)

// journalHead is the first line.
type journalHead struct {
	Version int    `json:"version"`
	Live    string `json:"live"` // bytes that the file had when it was last compacted, 20 digits
}

// fileFact says that a file holds a video, and what the catalogue says of it.
type fileFact struct {
	Path      text      `json:"path"`
	Video     string    `json:"video"`
	Size      int64     `json:"size"`
	Origin    text      `json:"origin,omitempty"`
	When      time.Time `json:"when,omitzero"`
	Name      text      `json:"name,omitempty"`
	RelPath   text      `json:"rel,omitempty"`
	MediaType text      `json:"type,omitempty"`
	Signer    text      `json:"signer,omitempty"`
	Recording text      `json:"recording,omitempty"`
	State     text      `json:"state,omitempty"`
	Added     time.Time `json:"added,omitzero"`
}

// jobFact says that a job is to be done.
type jobFact struct {
	ID      text      `json:"id"`
	Kind    text      `json:"kind,omitempty"`
	Video   string    `json:"video,omitempty"`
	Spec    []byte    `json:"spec,omitempty"`
	Created time.Time `json:"created,omitzero"`
}

// text is a string that need not be UTF-8: then it is an object with its bytes.
type text string

type textBytes struct {
	Bytes []byte `json:"bytes"`
}

func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(textBytes{[]byte(t)})
}

func (t *text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(t))
	}
	var b textBytes
	err := json.Unmarshal(data, &b)
	*t = text(b.Bytes)
	return err
}

func newFileFact(f File, v Video) fact {
	return fact{File: &fileFact{
		Path: text(f.Path), Video: v.CID.String(), Size: f.Stamp.Size, Origin: text(f.Origin), When: f.When.UTC(),
		Name: text(v.Name), RelPath: text(v.RelPath), MediaType: text(v.MediaType), Signer: text(v.Signer),
		Recording: text(v.Recording), State: text(v.State), Added: v.Added.UTC(),
	}}
}

func forgottenFact(path string) fact {
	t := text(path)
	return fact{Forgotten: &t}
}

func newJobFact(j Job) fact {
	f := &jobFact{ID: text(j.ID), Kind: text(j.Kind), Spec: j.Spec, Created: j.Created.UTC()}
	if j.Video.Defined() {
		f.Video = j.Video.String()
	}
	return fact{Job: f}
}

func endedFact(id string) fact {
	t := text(id)
	return fact{Ended: &t}
}

// factKey names what a fact is about.
type factKey [16]byte

// subject is what a line is about.
type subject struct {
	key    factKey
	claims bool // the line says that something is so, not that it ended
}

// subjectOf finds what a line is about without decoding all of it, since only
// few of them may count. It is false for a line that is about nothing.
func subjectOf(line []byte) (subject, bool) {
	for _, k := range []struct {
		start, kind string
		claims      bool
	}{
		{`{"file":{"path":`, "file", true},
		{`{"forgotten":`, "file", false},
		{`{"job":{"id":`, "job", true},
		{`{"ended":`, "job", false},
	} {
		rest, ok := bytes.CutPrefix(line, []byte(k.start))
		if !ok {
			continue
		}
		name := firstText(rest)
		sum := sha256.Sum256(slices.Concat([]byte(k.kind), name))
		return subject{factKey(sum[:]), k.claims}, len(name) > 0
	}
	return subject{}, false
}

// firstText is the text that JSON begins with, as it is encoded; nil if there is
// none.
func firstText(data []byte) []byte {
	if len(data) > 0 && data[0] == '{' {
		return data[:bytes.IndexByte(data, '}')+1]
	}
	for i := 1; i < len(data) && data[0] == '"'; i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return data[:i+1]
		}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const sumMember = `,"sum":"` // 8 digits and `"}` follow

// appendFact appends the line of f.
func appendFact(lines []byte, f fact) ([]byte, error) {
	body, err := json.Marshal(f)
	if err != nil {
		return lines, fmt.Errorf("encode fact: %w", err)
	}
	if len(body) > maxFactBytes-len(sumMember)-10 {
		return lines, fmt.Errorf("fact of %d bytes, limit %d", len(body), maxFactBytes)
	}
	lines = append(lines, body[:len(body)-1]...)
	return fmt.Appendf(lines, "%s%08x\"}\n", sumMember, crc32.Checksum(body, castagnoli)), nil
}

var errFact = errors.New("damaged line")

// checkFact checks the sum of a line without its end.
func checkFact(line []byte) error {
	at := len(line) - len(sumMember) - 10
	if at < 1 || !bytes.HasPrefix(line[at:], []byte(sumMember)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return fmt.Errorf("%w: it does not end with its sum", errFact)
	}
	sum, err := strconv.ParseUint(string(line[len(line)-10:len(line)-2]), 16, 32)
	if err != nil || crc32.Update(crc32.Checksum(line[:at], castagnoli), castagnoli, []byte{'}'}) != uint32(sum) {
		return fmt.Errorf("%w: its sum does not match", errFact)
	}
	return nil
}

// decodeFact reads a line without its end.
func decodeFact(line []byte) (f fact, err error) {
	if err := checkFact(line); err != nil {
		return fact{}, err
	}
	if err := json.Unmarshal(line, &f); err != nil {
		return fact{}, fmt.Errorf("%w: %w", errFact, err)
	}
	return f, nil
}

// entry is what a fact that claims something says.
func (f fact) entry() (JournalEntry, error) {
	switch {
	case f.File != nil:
		return f.File.entry()
	case f.Job != nil:
		j, err := f.Job.job()
		return JournalEntry{Job: j}, err
	}
	return JournalEntry{}, fmt.Errorf("%w: it claims nothing", errFact)
}

func (f *fileFact) entry() (JournalEntry, error) {
	c, err := manifest.ParseVideoCID(f.Video)
	if err != nil {
		return JournalEntry{}, fmt.Errorf("%w: %w", errFact, err)
	}
	if err := checkPath(string(f.Path)); err != nil {
		return JournalEntry{}, fmt.Errorf("%w: %w", errFact, err)
	}
	if f.Size < 0 || f.Size > manifest.MaxVideoSize || len(f.Recording) > MaxRecording {
		return JournalEntry{}, fmt.Errorf("%w: no such video", errFact)
	}
	return JournalEntry{
		File: File{Path: string(f.Path), Stamp: Stamp{Size: f.Size}, Video: c, Origin: Origin(f.Origin), When: f.When},
		Video: Video{
			CID: c, Name: string(f.Name), MediaType: string(f.MediaType), Size: f.Size, Blocks: manifest.NumBlocks(f.Size),
			Added: f.Added, State: string(f.State), Signer: string(f.Signer), RelPath: string(f.RelPath), Recording: string(f.Recording),
		},
	}, nil
}

func (f *jobFact) job() (Job, error) {
	j := Job{ID: string(f.ID), Kind: string(f.Kind), Spec: f.Spec, Created: f.Created}
	if len(j.ID) == 0 || len(j.ID) > maxJobID {
		return Job{}, fmt.Errorf("%w: job ID of %d bytes", errFact, len(j.ID))
	}
	if f.Video == "" {
		return j, nil
	}
	c, err := manifest.ParseVideoCID(f.Video)
	if err != nil {
		return Job{}, fmt.Errorf("%w: %w", errFact, err)
	}
	j.Video = c
	return j, nil
}
