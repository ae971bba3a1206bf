package manifest

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/ipfs/go-cid"
)

const (
	version  = 1
	maxLevel = 1 // a root over nodes of blocks reaches 2^53 bytes, beyond MaxVideoSize

	linkBytes = 41 // tag 42, byte string, 0x00, CID
	// MaxNodeBytes is the longest encoding of one manifest node in bytes.
	MaxNodeBytes = MaxLinks*linkBytes + 128
)

// A node is one manifest node. Its links name blocks at level 0, and nodes of
// the level below at every other.
type node struct {
	Size      uint64 `cbor:"size"` // bytes of video under this node
	Level     uint64 `cbor:"level"`
	Links     links  `cbor:"links"`
	Version   uint64 `cbor:"version"`
	BlockSize uint64 `cbor:"blockSize"`
}

// links is a list of CIDs, all of one codec. DAG-CBOR writes a CID as tag 42
// over a byte string with a leading zero. The list is read and written in one
// go, since link by link costs an allocation for each.
type links struct {
	codec   uint64 // 0 if there are none
	digests []Digest
}

// linkHead is what stands before the digest in a link; the codec is its byte
// at codecAt. (https://ipld.io/specs/codecs/dag-cbor/spec/#links)
var linkHead = [linkBytes - DigestSize]byte{0xd8, 42, 0x58, 37, 0x00, 0x01, cid.Raw, 0x1e, DigestSize}

const codecAt = 6

func (l links) MarshalCBOR() ([]byte, error) {
	head := linkHead
	head[codecAt] = byte(l.codec)
	out := appendListHead(make([]byte, 0, 3+len(l.digests)*linkBytes), len(l.digests))
	for i := range l.digests {
		out = append(append(out, head[:]...), l.digests[i][:]...)
	}
	return out, nil
}

func (l *links) UnmarshalCBOR(data []byte) error {
	n := len(data) / linkBytes // the list's head is shorter than a link
	listHead := appendListHead(nil, n)
	if !bytes.HasPrefix(data, listHead) || len(data) != len(listHead)+n*linkBytes {
		return fmt.Errorf("%d bytes of links are not a list of CIDs of BLAKE3-256", len(data))
	}
	l.codec, l.digests = 0, make([]Digest, n)
	want := linkHead
	for i := range l.digests {
		link := data[len(listHead)+i*linkBytes:][:linkBytes]
		if i == 0 {
			l.codec = uint64(link[codecAt])
			want[codecAt] = link[codecAt]
		}
		if !bytes.HasPrefix(link, want[:]) {
			return fmt.Errorf("link %d starts with %x, want %x", i, link[:len(want)], want)
		}
		copy(l.digests[i][:], link[len(want):])
	}
	return nil
}

// appendListHead writes how many items follow, up to 65,535 of them.
func appendListHead(dst []byte, n int) []byte {
	switch {
	case n < 24:
		return append(dst, 0x80|byte(n))
	case n < 1<<8:
		return append(dst, 0x98, byte(n))
	}
	return append(dst, 0x99, byte(n>>8), byte(n))
}

var (
	encoding = mustMode(cbor.EncOptions{
		Sort:          cbor.SortLengthFirst,
		ShortestFloat: cbor.ShortestFloatNone,
		IndefLength:   cbor.IndefLengthForbidden,
	}.EncMode())
	decoding = mustMode(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		MaxArrayElements:  MaxLinks,
		MaxMapPairs:       16,
		MaxNestedLevels:   4,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode())
)

func mustMode[M any](mode M, err error) M {
	if err != nil {
		panic("manifest: internal error: cbor mode: " + err.Error())
	}
	return mode
}

// newNode returns the node over size bytes of video whose parts, blocks or
// lower nodes, have these digests.
func newNode(level uint64, size int64, digests []Digest) *node {
	return &node{
		Size:      uint64(size),
		Level:     level,
		Links:     links{codec: linkCodec(level), digests: digests},
		Version:   version,
		BlockSize: BlockSize,
	}
}

func (n *node) encode() ([]byte, error) {
	data, err := encoding.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("encode manifest node: %w", err)
	}
	return data, nil
}

// decodeNode reads one node. The decoder accepts some input that is not
// canonical, so the node is encoded again and must give the same bytes.
func decodeNode(data []byte) (*node, error) {
	if len(data) > MaxNodeBytes {
		return nil, fmt.Errorf("%w: node of %d bytes, limit %d", ErrMalformed, len(data), MaxNodeBytes)
	}
	var n node
	if err := decoding.Unmarshal(data, &n); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if err := n.check(); err != nil {
		return nil, err
	}
	again, err := n.encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(data, again) {
		return nil, fmt.Errorf("%w: not in canonical form", ErrMalformed)
	}
	return &n, nil
}

func (n *node) check() error {
	switch {
	case n.Version != version:
		return fmt.Errorf("%w: version %d, this node reads version %d", ErrMalformed, n.Version, version)
	case n.BlockSize != BlockSize:
		return fmt.Errorf("%w: block size %d, want %d", ErrMalformed, n.BlockSize, BlockSize)
	case n.Size > MaxVideoSize:
		return fmt.Errorf("%w: size %d, limit %d", ErrMalformed, n.Size, int64(MaxVideoSize))
	case n.Level > maxLevel:
		return fmt.Errorf("%w: level %d, limit %d", ErrMalformed, n.Level, maxLevel)
	}
	return n.checkLinks()
}

// checkLinks needs the size and level to be within their limits. How many
// links there are follows from the two, so each size has exactly one tree.
func (n *node) checkLinks() error {
	want := (int64(n.Size) + n.span() - 1) / n.span()
	if int64(len(n.Links.digests)) != want || want > MaxLinks {
		return fmt.Errorf("%w: %d links at level %d for %d bytes, want %d", ErrMalformed, len(n.Links.digests), n.Level, n.Size, want)
	}
	if n.Level > 0 && want < 2 {
		return fmt.Errorf("%w: a node at level %d over a single node", ErrMalformed, n.Level)
	}
	if want > 0 && n.Links.codec != linkCodec(n.Level) {
		return fmt.Errorf("%w: links of codec %#x at level %d", ErrMalformed, n.Links.codec, n.Level)
	}
	return nil
}

// span is how many bytes of video every link of n but the last stands for.
func (n *node) span() int64 { return linkSpan(n.Level) }

func linkSpan(level uint64) int64 {
	span := int64(BlockSize)
	for range level {
		span *= MaxLinks
	}
	return span
}

func linkCodec(level uint64) uint64 {
	if level == 0 {
		return cid.Raw
	}
	return cid.DagCBOR
}
