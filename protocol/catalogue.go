package protocol

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// Limits of catalogues that both ends know. docs/protocol.md lists them.
const (
	// MaxFollowBytes is the longest Follow or Following.
	MaxFollowBytes = 256
	// MaxBatchEntries is the most entries of one CatalogueBatch.
	MaxBatchEntries = 512
	// MaxBatchBytes is the longest CatalogueBatch.
	MaxBatchBytes = 256 << 10
	// MaxRecordingBytes is the longest Recording of an entry.
	MaxRecordingBytes = 64
	// MaxRelPathBytes is the longest RelPath of an entry.
	MaxRelPathBytes = 4096
	// MaxMediaTypeBytes is the longest MediaType of an entry.
	MaxMediaTypeBytes = 127
	// MaxStateBytes is the longest State of an entry.
	MaxStateBytes = 32
)

const (
	// keepaliveEvery is the longest that a catalogue stream is silent.
	keepaliveEvery = 20 * time.Second
	// batchMemory is what either side reserves while it is at a batch: the
	// message, and the entries.
	batchMemory = 4 * MaxBatchBytes
)

// Cursor says how far a catalogue has been followed.
type Cursor struct {
	// Log names the log that Seq counts in: 16 random bytes. A node whose
	// index was made anew has another one.
	Log [16]byte
	// Seq is the number of the last entry that was seen, 0 for none.
	Seq uint64
}

// Entry is one entry of another node's catalogue. It replaces every entry of
// the same video before it. Its texts are valid UTF-8, and nothing else is
// sure about them: any of them may be empty or hold control characters.
type Entry struct {
	Seq       uint64    // in the log; greater than that of the entry before
	Video     cid.Cid   // always set
	Removed   bool      // the video is gone there; only Recording may be set too
	Recording string    // the same for all manifests of one recording; at most 64 bytes
	Name      string    // as people know it; at most 255 bytes
	RelPath   string    // file below the folder that was added, slash-separated and without ".."; at most 4096 bytes
	MediaType string    // such as video/mp4; at most 127 bytes
	State     string    // the node's word for how far it is; at most 32 bytes
	Size      int64     // in bytes, at most manifest.MaxVideoSize
	Added     time.Time // to that catalogue, UTC; zero if not known
}

// check tells why an entry may not be sent.
func (e Entry) check() error {
	if e.Size < 0 || e.Size > manifest.MaxVideoSize {
		return fmt.Errorf("size of %d bytes", e.Size)
	}
	for _, text := range []struct {
		what, value string
		limit       int
	}{
		{"recording", e.Recording, MaxRecordingBytes},
		{"name", e.Name, MaxNameBytes},
		{"path", e.RelPath, MaxRelPathBytes},
		{"media type", e.MediaType, MaxMediaTypeBytes},
		{"state", e.State, MaxStateBytes},
	} {
		if len(text.value) > text.limit {
			return fmt.Errorf("%s of %d bytes", text.what, len(text.value))
		}
		if !utf8.ValidString(text.value) {
			return fmt.Errorf("%s %q is not UTF-8", text.what, text.value)
		}
	}
	if !validRelPath(e.RelPath) {
		return fmt.Errorf("path %q", e.RelPath)
	}
	return nil
}

// validRelPath tells whether a path leads to a file below a folder.
func validRelPath(path string) bool {
	return path == "" || path != "." && fs.ValidPath(path) && !strings.ContainsRune(path, 0)
}

// encodeEntry returns the entry's message, or an error if its fields break
// the limits.
func encodeEntry(e Entry) ([]byte, error) {
	m := &wire.CatalogueEntry{Seq: e.Seq, Video: e.Video.Bytes(), Removed: e.Removed, Recording: e.Recording}
	if e.Removed {
		e = Entry{Recording: e.Recording}
	}
	if _, err := manifest.ParseVideoCIDBytes(m.Video); err != nil {
		return nil, err
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	m.Name, m.Path, m.MediaType, m.State = e.Name, e.RelPath, e.MediaType, e.State
	m.Size, m.Added = uint64(e.Size), nanoseconds(e.Added)
	return proto.Marshal(m)
}

// nanoseconds counts from 1970. What it cannot express is 0, not known.
func nanoseconds(t time.Time) int64 {
	ns := t.UnixNano()
	if !time.Unix(0, ns).Equal(t) {
		return 0
	}
	return ns
}

// decodeEntry reads the message of an entry that comes after that numbered
// last.
func decodeEntry(data []byte, last uint64) (Entry, error) {
	var m wire.CatalogueEntry
	if err := proto.Unmarshal(data, &m); err != nil {
		return Entry{}, err
	}
	if m.Seq <= last {
		return Entry{}, fmt.Errorf("number %d after %d", m.Seq, last)
	}
	video, err := manifest.ParseVideoCIDBytes(m.Video)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Seq: m.Seq, Video: video, Removed: m.Removed, Recording: m.Recording}
	if !m.Removed {
		e.Name, e.RelPath, e.MediaType, e.State = m.Name, m.Path, m.MediaType, m.State
		e.Size = int64(min(m.Size, manifest.MaxVideoSize+1))
		if m.Added != 0 {
			e.Added = time.Unix(0, m.Added).UTC()
		}
	}
	return e, e.check()
}

// decodeBatch reads the entries of one message, which come after that
// numbered last.
func decodeBatch(m *wire.CatalogueBatch, last uint64) ([]Entry, error) {
	if len(m.Entries) > MaxBatchEntries {
		return nil, fmt.Errorf("%w: %d entries in one message", ErrProtocol, len(m.Entries))
	}
	entries := make([]Entry, 0, len(m.Entries))
	for _, data := range m.Entries {
		e, err := decodeEntry(data, last)
		if err != nil {
			return nil, fmt.Errorf("%w: catalogue entry: %v", ErrProtocol, err)
		}
		entries = append(entries, e)
		last = e.Seq
	}
	return entries, nil
}

// logOf reads the name of a log. Empty is the zero one.
func logOf(data []byte) (log [16]byte, err error) {
	if len(data) != 0 && len(data) != len(log) {
		return log, errors.New("log with a name of another length")
	}
	copy(log[:], data)
	return log, nil
}

// entryBytes is what an entry adds to the length of a CatalogueBatch.
func entryBytes(entry []byte) int {
	return protowire.SizeTag(1) + protowire.SizeBytes(len(entry))
}

// reserveBatch makes the resource manager count a batch, until releaseBatch or
// the end of the stream. Streams that wait for changes hold no memory for it.
func (f *framing) reserveBatch() error {
	if err := f.stream.Scope().ReserveMemory(batchMemory, network.ReservationPriorityHigh); err != nil {
		return fmt.Errorf("%w: %v", ErrBusy, err)
	}
	return nil
}

func (f *framing) releaseBatch() { f.stream.Scope().ReleaseMemory(batchMemory) }
