package protocol

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/protocol/internal/wire"
)

func encoded(f *testing.F, m proto.Message) []byte {
	f.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	return data
}

// FuzzFollow reads the log that a client names.
func FuzzFollow(f *testing.F) {
	f.Add(encoded(f, &wire.Follow{Log: make([]byte, 16), Seq: 1}))
	f.Add(encoded(f, &wire.Follow{Log: make([]byte, 5)}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var m wire.Follow
		if proto.Unmarshal(data, &m) != nil {
			return
		}
		log, err := logOf(m.Log)
		if err == nil && !bytes.Equal(log[:], m.Log) && len(m.Log) != 0 {
			t.Errorf("log %x read as %x", m.Log, log)
		}
	})
}

// FuzzFollowing reads the answer to a client that has followed to entry 5.
func FuzzFollowing(f *testing.F) {
	at := Cursor{Log: [16]byte{1}, Seq: 5}
	f.Add(encoded(f, &wire.Following{Status: wire.Status_STATUS_OK, Log: at.Log[:], From: 5}))
	f.Add(encoded(f, &wire.Following{Status: wire.Status_STATUS_OK, Log: make([]byte, 16)}))
	f.Add(encoded(f, &wire.Following{Status: wire.Status_STATUS_REFUSED}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var msg wire.Following
		if proto.Unmarshal(data, &msg) != nil {
			return
		}
		next, err := at.follow(&msg)
		if err == nil && next != at && (next.Seq != 0 || next.Log == at.Log) {
			t.Errorf("goes on at %v", next)
		}
	})
}

// FuzzCatalogueBatch reads a batch that follows entry 5. What is accepted
// keeps the limits and can be sent on.
func FuzzCatalogueBatch(f *testing.F) {
	for _, e := range []Entry{
		{Seq: 6, Video: testVideo, Name: "talk.mp4", RelPath: "a/talk.mp4", MediaType: "video/mp4", State: "live", Size: 5, Recording: "r", Added: time.Unix(1, 2)},
		{Seq: 7, Video: testVideo, Removed: true},
		{Seq: 5, Video: testVideo},
	} {
		data, err := encodeEntry(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded(f, &wire.CatalogueBatch{Entries: [][]byte{data}}))
	}
	f.Add([]byte{0x0a, 0x00, 0x0a, 0x00})
	f.Fuzz(func(t *testing.T, data []byte) {
		var batch wire.CatalogueBatch
		if proto.Unmarshal(data, &batch) != nil {
			return
		}
		entries, err := decodeBatch(&batch, 5)
		if err != nil {
			return
		}
		last := uint64(5)
		for _, e := range entries {
			again, err := encodeEntry(e)
			if err != nil {
				t.Fatalf("%v was accepted: %v", e, err)
			}
			back, err := decodeEntry(again, last)
			if err != nil || back != e {
				t.Fatalf("%v came back as %v, %v", e, back, err)
			}
			last = e.Seq
		}
	})
}
