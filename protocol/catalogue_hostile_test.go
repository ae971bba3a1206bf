package protocol_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestHostileCatalogueServers(t *testing.T) {
	ok := wire.Status_STATUS_OK
	log := bytes.Repeat([]byte{9}, 16)
	following := encode(t, &wire.Following{Status: ok, Log: log, From: 5})
	entry := func(edit func(e *wire.CatalogueEntry)) []byte {
		e := &wire.CatalogueEntry{Seq: 6, Video: otherVideo(t).Bytes(), Name: "talk.mp4", Size: 5}
		edit(e)
		return marshal(t, e)
	}
	good := entry(func(*wire.CatalogueEntry) {})
	batch := func(entries ...[]byte) []byte {
		return append(bytes.Clone(following), encode(t, &wire.CatalogueBatch{Entries: entries})...)
	}
	edited := func(edit func(e *wire.CatalogueEntry)) []byte { return batch(entry(edit)) }
	notUTF8 := bytes.ReplaceAll(good, []byte("talk.mp4"), []byte("talk\xff.mp"))
	for _, test := range []struct {
		name string
		send []byte
		want error // nil: any
	}{
		{"silence", nil, nil},
		{"zero-length answer", []byte{0}, protocol.ErrProtocol},
		{"oversize answer", []byte{0x81, 0x02}, protocol.ErrProtocol},
		{"short log", encode(t, &wire.Following{Status: ok, Log: log[:5]}), protocol.ErrProtocol},
		{"other start", encode(t, &wire.Following{Status: ok, Log: log, From: 4}), protocol.ErrProtocol},
		{"new log that has begun", encode(t, &wire.Following{Status: ok, Log: make([]byte, 16), From: 5}), protocol.ErrProtocol},
		{"half a batch", batch(good)[:len(following)+9], nil},
		{"oversize batch", append(bytes.Clone(following), 0x81, 0x80, 0x10), protocol.ErrProtocol},
		{"garbage", append(bytes.Clone(following), 3, 0xff, 0xff, 0xff), protocol.ErrProtocol},
		{"garbage entry", batch([]byte{0xff}), protocol.ErrProtocol},
		{"empty entry", batch(nil), protocol.ErrProtocol},
		{"flood of empty entries", batch(make([][]byte, 100_000)...), protocol.ErrProtocol},
		{"too many entries", batch(make([][]byte, protocol.MaxBatchEntries+1)...), protocol.ErrProtocol},
		{"number that was", edited(func(e *wire.CatalogueEntry) { e.Seq = 5 }), protocol.ErrProtocol},
		{"number twice", batch(good, good), protocol.ErrProtocol},
		{"no video", edited(func(e *wire.CatalogueEntry) { e.Video = nil }), protocol.ErrProtocol},
		{"video is a block", edited(func(e *wire.CatalogueEntry) { e.Video = manifest.BlockCID(manifest.Digest{1}).Bytes() }), protocol.ErrProtocol},
		{"removed no video", edited(func(e *wire.CatalogueEntry) { e.Video, e.Removed = nil, true }), protocol.ErrProtocol},
		{"size", edited(func(e *wire.CatalogueEntry) { e.Size = manifest.MaxVideoSize + 1 }), protocol.ErrProtocol},
		{"size of 2^64-1", edited(func(e *wire.CatalogueEntry) { e.Size = 1<<64 - 1 }), protocol.ErrProtocol},
		{"long name", edited(func(e *wire.CatalogueEntry) { e.Name = strings.Repeat("x", 256) }), protocol.ErrProtocol},
		{"long path", edited(func(e *wire.CatalogueEntry) { e.Path = strings.Repeat("x", 4097) }), protocol.ErrProtocol},
		{"long media type", edited(func(e *wire.CatalogueEntry) { e.MediaType = strings.Repeat("x", 128) }), protocol.ErrProtocol},
		{"long state", edited(func(e *wire.CatalogueEntry) { e.State = strings.Repeat("x", 33) }), protocol.ErrProtocol},
		{"long recording", edited(func(e *wire.CatalogueEntry) { e.Recording = strings.Repeat("x", 65) }), protocol.ErrProtocol},
		{"name that is no text", batch(notUTF8), protocol.ErrProtocol},
		{"path out of the folder", edited(func(e *wire.CatalogueEntry) { e.Path = "a/../../b" }), protocol.ErrProtocol},
		{"absolute path", edited(func(e *wire.CatalogueEntry) { e.Path = "/etc/passwd" }), protocol.ErrProtocol},
		{"path of a folder", edited(func(e *wire.CatalogueEntry) { e.Path = "." }), protocol.ErrProtocol},
		{"path with a NUL", edited(func(e *wire.CatalogueEntry) { e.Path = "a\x00b" }), protocol.ErrProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "tcp")
			handle(t, server, protocol.CatalogueID, send(test.send))
			from := protocol.Cursor{Log: [16]byte(log), Seq: 5}
			f := follow(t, client, server.ID(), from, protocol.ClientConfig{Timeout: patience(test.want != nil)})
			if err := f.wait(); err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if len(f.got) != 0 {
				t.Errorf("entries were passed on: %v", f.got)
			}
		})
	}
}

// A server that breaks the rules gets its stream reset with that reason.
func TestHostileCatalogueServerIsReset(t *testing.T) {
	server, client := newHosts(t, "tcp")
	code := make(chan error, 1)
	server.SetStreamHandler(protocol.CatalogueID, func(s network.Stream) {
		defer s.Reset()
		_ = s.SetDeadline(time.Now().Add(longWait))
		_, _ = s.Write([]byte{3, 0xff, 0xff, 0xff})
		_, err := io.Copy(io.Discard, s)
		code <- err
	})
	_ = follow(t, client, server.ID(), protocol.Cursor{}, protocol.ClientConfig{}).wait()
	reset, ok := errors.AsType[*network.StreamError](<-code)
	if !ok || reset.ErrorCode != network.StreamProtocolViolation {
		t.Errorf("reset with %v", reset)
	}
}

// A flood of small batches is held up on the wire.
func TestCatalogueFlood(t *testing.T) {
	server, client := newHosts(t, "tcp")
	video := otherVideo(t).Bytes()
	var flood []byte
	for seq := range uint64(5000) {
		one := marshal(t, &wire.CatalogueEntry{Seq: seq + 1, Video: video})
		flood = append(flood, encode(t, &wire.CatalogueBatch{Entries: [][]byte{one}})...)
	}
	handle(t, server, protocol.CatalogueID, send(encode(t, &wire.Following{Status: wire.Status_STATUS_OK}), flood))
	start := time.Now()
	f := follow(t, client, server.ID(), protocol.Cursor{}, protocol.ClientConfig{})
	eventually(t, "some entries", func() bool { return f.count() >= 8 })
	n := f.count()
	if most := 10 + int(time.Since(start)/(25*time.Millisecond)); n > most {
		t.Errorf("%d batches, want at most %d", n, most)
	}
}

// A log is named by 16 bytes, or none.
func TestFollowOfStrangeLog(t *testing.T) {
	server, client := newHosts(t, "tcp")
	serve(t, server, protocol.ServerConfig{Peers: trust(client), Catalogue: newShelf()})
	answer, err := answerTo(t, client, server.ID(), protocol.CatalogueID, encode(t, &wire.Follow{Log: make([]byte, 5)}))
	if want := encode(t, &wire.Following{Status: wire.Status_STATUS_INVALID}); err != nil || !bytes.Equal(answer, want) {
		t.Errorf("answer %x, %v, want %x", answer, err, want)
	}
}

// A client that closes its side has had enough.
func TestFollowerThatCloses(t *testing.T) {
	server, client := newHosts(t, "quic")
	serve(t, server, protocol.ServerConfig{Peers: trust(client), Catalogue: newShelf()})
	s := openRaw(t, client, server.ID(), protocol.CatalogueID)
	if _, err := s.Write(encode(t, &wire.Follow{})); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(s)
	var following wire.Following
	if err := protodelim.UnmarshalFrom(in, &following); err != nil || following.Status != wire.Status_STATUS_OK {
		t.Fatalf("following: %v, %v", &following, err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(in); err != nil || len(rest) != 0 {
		t.Errorf("stream ended with %x, %v", rest, err)
	}
}
