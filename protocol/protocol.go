// Package protocol hides what two vidsync nodes say to each other: messages,
// limits, deadlines, and who may ask for what.
//
// A Server answers for this node; a Remote asks one other node about one
// video, and a few functions ask it for all else. They work over any libp2p
// host that the caller has set up. The bytes on the wire are described in
// docs/protocol.md. Everything a peer sends is taken to be hostile: each length
// is checked before memory is taken, each wait has an end, and a stream that
// breaks a rule is reset.
package protocol

import (
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/vidsync/vidsync/manifest"
)

// Protocol IDs. A change that an old node would misread gets a new ID; added
// fields do not.
const (
	ManifestID protocol.ID = "/vidsync/manifest/1.0.0"
	HoldingsID protocol.ID = "/vidsync/holdings/1.0.0"
	PiecesID   protocol.ID = "/vidsync/pieces/1.0.0"

	CatalogueID  protocol.ID = "/vidsync/catalogue/1.0.0"
	NoticeID     protocol.ID = "/vidsync/notice/1.0.0"
	TranscriptID protocol.ID = "/vidsync/transcript/1.0.0"
	PairID       protocol.ID = "/vidsync/pair/1.0.0"
)

// ServiceName is the name under which the resource manager of a host counts
// vidsync's streams and memory.
const ServiceName = "vidsync"

// Limits that both ends know. docs/protocol.md lists them.
const (
	// MaxCapabilityBytes is the longest capability.
	MaxCapabilityBytes = 4096
	// MaxOpenBytes is the longest Open or NodeRequest message: a capability,
	// a CID, a path, and room for fields to come.
	MaxOpenBytes = 8192
	// MaxPathLen is the most links that a NodeRequest may follow.
	MaxPathLen = 2
	// MaxRequestBytes is the longest PieceRequest.
	MaxRequestBytes = 256
	// MaxAnswerBytes is the longest Opened, NodeAnswer or PieceAnswer: a proof
	// of 320 bytes and room for fields to come.
	MaxAnswerBytes = 1024
	// MaxNameBytes is the longest name of a video.
	MaxNameBytes = 255
	// MaxOutstanding is the most Gets that a client may have unanswered on one
	// stream, cancelled ones included. A server reads no further beyond it.
	MaxOutstanding = 128
	// MaxChanges is the most entries of one Holdings or HoldingsChange.
	MaxChanges = 4096
	// MaxChangeBytes is the longest HoldingsChange, and how much longer than
	// its bitmap a Holdings message may be.
	MaxChangeBytes = 64 << 10
	// MaxExtraRequests is how many PieceRequests other than Gets a client may
	// send beyond two for each Get.
	MaxExtraRequests = 32
	// MaxImpossibleGets is how many Gets of pieces that the video has not got a
	// client may send on one stream. The manifest tells which there are: a client
	// that has it sends none.
	MaxImpossibleGets = 32
)

const (
	// stretchBytes is how much is written at once: a little less than 256 KiB,
	// so that yamux cuts it into four full frames of 64 KiB with their 12-byte
	// headers and no short one, or sends it as one.
	stretchBytes = 4 * (64<<10 - 12)
	// leastProgress is how many raw bytes have to pass under one deadline, or
	// all that are left if that is less.
	leastProgress = 4 << 10
	// changesEvery is the least time between two messages about holdings.
	changesEvery = 200 * time.Millisecond
	// changesPace is the least time that a client takes for one of them, so
	// that a flood of them is held up on the wire.
	changesPace = changesEvery / 4
	// reportEvery is the least time between two bad-piece reports that reach
	// the Library: each may cost it a read of the disk.
	reportEvery = time.Second

	// readBufferBytes is the size of a stream's buffered reader. Reads of
	// pieces are longer and go past it, so a small one means fewer copies.
	readBufferBytes = 4096
	// controlBytes is what a stream reserves beside piece buffers: its reader,
	// its queue, and the longest message of its first exchange.
	controlBytes = 64 << 10

	defaultTimeout = 30 * time.Second
)

// maxHoldingsBytes is the longest Holdings message for a video of so many
// blocks.
func maxHoldingsBytes(blocks int) int64 { return int64((blocks+7)/8) + MaxChangeBytes }

// pieceBufferBytes is the memory that one piece in transit takes.
const pieceBufferBytes = headroom + manifest.PieceSize + alignment
