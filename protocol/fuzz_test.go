package protocol

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// seedMessages are added to each corpus, so that none is empty.
var seedMessages = []proto.Message{
	&wire.Open{Video: bytes.Repeat([]byte{1}, 36), Capability: []byte("capability")},
	&wire.NodeRequest{Video: bytes.Repeat([]byte{1}, 36), Path: []uint32{1, 2}},
	&wire.Opened{Status: wire.Status_STATUS_REFUSED},
	&wire.Holdings{Status: wire.Status_STATUS_OK, Bitmap: []byte{1}, Partial: []*wire.BlockMask{{Block: 1, Mask: 5}}},
	&wire.HoldingsChange{Changed: []*wire.BlockMask{{Block: 1, Mask: 7}, {Block: 0}}},
	&wire.PieceRequest{Kind: &wire.PieceRequest_Get{Get: &wire.Get{Id: 1, Block: 1, Piece: 2}}},
	&wire.PieceRequest{Kind: &wire.PieceRequest_Cancel{Cancel: &wire.Cancel{Id: 1}}},
	&wire.PieceRequest{Kind: &wire.PieceRequest_Bad{Bad: &wire.Bad{Block: 1}}},
	&wire.PieceAnswer{Id: 1, Status: wire.Status_STATUS_OK, Size: 12345, Proof: make([]byte, 128)},
	&wire.Follow{Log: make([]byte, 16), Seq: 7},
	&wire.Following{Status: wire.Status_STATUS_OK, Log: make([]byte, 16), From: 7},
	&wire.CatalogueBatch{Entries: [][]byte{{}, {8, 1}}},
	&wire.CatalogueEntry{Seq: 1, Video: bytes.Repeat([]byte{1}, 36), Name: "talk.mp4", Size: 5, Added: -1},
	&wire.Notice{Kind: &wire.Notice_Receipt{Receipt: []byte("receipt")}},
	&wire.Notice{Kind: &wire.Notice_Transcript{Transcript: bytes.Repeat([]byte{1}, 36)}},
	&wire.NoticeAnswer{Status: wire.Status_STATUS_INVALID},
	&wire.TranscriptAnswer{Status: wire.Status_STATUS_OK, Sidecars: []*wire.SidecarHeader{{Format: "srt", Size: 5}, {Format: "txt"}}},
	&wire.PairRequest{Secret: make([]byte, 16), Name: "laptop", Addrs: [][]byte{{4, 127, 0, 0, 1, 6, 0, 80}}},
	&wire.PairAnswer{Status: wire.Status_STATUS_OK, Name: "server"},
}

func addSeeds(f *testing.F) {
	for _, m := range seedMessages {
		f.Add(appendMessage(nil, m))
	}
	f.Add([]byte{0})
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01})
}

// FuzzMessages reads every kind of message. What is read must survive being
// written and read again, and one that is over the limit must not be read.
func FuzzMessages(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 200
		for _, kind := range seedMessages {
			m := kind.ProtoReflect().New().Interface()
			in := bufio.NewReader(bytes.NewReader(data))
			if err := (protodelim.UnmarshalOptions{MaxSize: limit}).UnmarshalFrom(in, m); err != nil {
				continue
			}
			again := kind.ProtoReflect().New().Interface()
			in = bufio.NewReader(bytes.NewReader(appendMessage(nil, m)))
			if err := protodelim.UnmarshalFrom(in, again); err != nil || !proto.Equal(m, again) {
				t.Fatalf("%v came back as %v: %v", m, again, err)
			}
			if proto.Size(m) > 10*limit { // varints in a longer form than needed shrink, they do not grow
				t.Fatalf("message of %d bytes read under a limit of %d", proto.Size(m), limit)
			}
		}
	})
}

// FuzzHoldings takes a message as the first and as a later one about a video
// of ten blocks, the last of three pieces.
func FuzzHoldings(f *testing.F) {
	addSeeds(f)
	f.Add(appendMessage(nil, &wire.Holdings{Status: 1, Bitmap: []byte{0xff, 0x03}}))
	const size = 9*manifest.BlockSize + 2*manifest.PieceSize + 1
	f.Fuzz(func(t *testing.T, data []byte) {
		var first wire.Holdings
		if protodelim.UnmarshalFrom(bufio.NewReader(bytes.NewReader(data)), &first) == nil {
			h, err := decodeHoldings(size, &first)
			if err == nil && h.Bytes() > size {
				t.Errorf("%d bytes held of %d", h.Bytes(), int64(size))
			}
			if err != nil && !errors.Is(err, ErrProtocol) {
				t.Errorf("unexpected error %v", err)
			}
		}
		var change wire.HoldingsChange
		if protodelim.UnmarshalFrom(bufio.NewReader(bytes.NewReader(data)), &change) == nil {
			all := manifest.AllHoldings(size)
			if checkMasks(all, change.Changed) != nil {
				return
			}
			for _, c := range change.Changed {
				if c.Mask&^all.FullMask(int(c.Block)) != 0 {
					t.Errorf("mask %#x of block %d was accepted", c.Mask, c.Block)
				}
			}
		}
	})
}

// FuzzAnswer checks headers of answers to one request for an odd piece.
func FuzzAnswer(f *testing.F) {
	addSeeds(f)
	m, err := manifest.New(2*manifest.PieceSize+12345, []manifest.Digest{{1}})
	if err != nil {
		f.Fatal(err)
	}
	d := newDataStream(nil, m, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		var a wire.PieceAnswer
		if protodelim.UnmarshalFrom(bufio.NewReader(bytes.NewReader(data)), &a) != nil {
			return
		}
		if err := d.check(&a, &call{id: 1, piece: 2}, false); err != nil {
			return
		}
		if a.Id != 1 || a.Status == wire.Status_STATUS_OK && (a.Size != 12345 || len(a.Proof) != 64) ||
			a.Status != wire.Status_STATUS_OK && (a.Size != 0 || len(a.Proof) != 0) {
			t.Errorf("accepted %v", &a)
		}
	})
}

func TestStatusesGoBothWays(t *testing.T) {
	seen := make(map[wire.Status]bool)
	for _, row := range statuses {
		if got := statusOf(row.err); got != row.status {
			t.Errorf("%v is told as %v, want %v", row.err, got, row.status)
		}
		if err := errorOf(row.status); statusOf(err) != row.status {
			t.Errorf("%v is read as %v", row.status, err)
		}
		seen[row.status] = true
	}
	for number := range wire.Status_name {
		status := wire.Status(number)
		known := seen[status] || status == wire.Status_STATUS_OK || status == wire.Status_STATUS_UNSPECIFIED
		if !known {
			t.Errorf("%v has no error", status)
		}
	}
	if got := statusOf(io.ErrNoProgress); got != wire.Status_STATUS_INTERNAL {
		t.Errorf("an unknown error is told as %v", got)
	}
}
