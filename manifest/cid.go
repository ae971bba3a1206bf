package manifest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
	"lukechampine.com/blake3"
)

// DigestSize is the length of a Digest in bytes.
const DigestSize = 32

const (
	// maxCIDText bounds the text that ParseVideoCID looks at: the longest
	// multibase form (base 2) of a 36-byte CID is under 300 characters.
	maxCIDText = 512
	// maxCIDBytes leaves room for the hash functions that this version does
	// not know, so that the error can name them.
	maxCIDBytes = 128
)

// ErrCID is returned for text or bytes that are not a CID of the wanted kind.
var ErrCID = errors.New("invalid CID")

// Digest is a BLAKE3-256 hash. It is comparable and serves as a map key.
type Digest [DigestSize]byte

// String is the digest in hexadecimal, as b3sum prints it.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// BlockCID names the block with digest d: CIDv1, codec raw, BLAKE3-256.
func BlockCID(d Digest) cid.Cid { return newCID(cid.Raw, d) }

// nodeCID names the manifest node with digest d: CIDv1, codec dag-cbor.
func nodeCID(d Digest) cid.Cid { return newCID(cid.DagCBOR, d) }

func newCID(codec uint64, d Digest) cid.Cid {
	hash, err := mh.Encode(d[:], mh.BLAKE3)
	if err != nil {
		panic("manifest: internal error: encode multihash: " + err.Error())
	}
	return cid.NewCidV1(codec, hash)
}

// BlockDigest is the digest in a block's CID. It refuses CIDs of other
// versions, codecs and hash functions by name.
func BlockDigest(c cid.Cid) (Digest, error) { return digest(c, cid.Raw) }

// NodeDigest is the digest in the CID of a video or of another manifest node.
func NodeDigest(c cid.Cid) (Digest, error) { return digest(c, cid.DagCBOR) }

func digest(c cid.Cid, codec uint64) (Digest, error) {
	var d Digest
	if !c.Defined() {
		return d, fmt.Errorf("%w: empty", ErrCID)
	}
	p := c.Prefix()
	if p.Version != 1 {
		return d, fmt.Errorf("%w: %s has CID version %d, want 1", ErrCID, c, p.Version)
	}
	if p.Codec != codec {
		return d, fmt.Errorf("%w: %s has codec %s, want %s", ErrCID, c, codecName(p.Codec), codecName(codec))
	}
	if p.MhType != mh.BLAKE3 || p.MhLength != DigestSize {
		return d, fmt.Errorf("%w: %s uses hash function %#x of %d bytes; this version knows BLAKE3 (%#x) of %d",
			ErrCID, c, p.MhType, p.MhLength, mh.BLAKE3, DigestSize)
	}
	hash := c.Hash()
	copy(d[:], hash[len(hash)-DigestSize:])
	return d, nil
}

func codecName(codec uint64) string {
	switch codec {
	case cid.Raw:
		return "raw (a block)"
	case cid.DagCBOR:
		return "dag-cbor (a video)"
	}
	return fmt.Sprintf("%#x", codec)
}

// ParseVideoCID reads the text form of a video's CID, in any multibase from 2 to
// 64 and without white space.
func ParseVideoCID(text string) (cid.Cid, error) {
	if len(text) > maxCIDText {
		return cid.Undef, fmt.Errorf("%w: %d characters are too many", ErrCID, len(text))
	}
	c, err := cid.Decode(text)
	if err != nil {
		return cid.Undef, fmt.Errorf("%w: %q: %v", ErrCID, text, err)
	}
	if _, err := NodeDigest(c); err != nil {
		return cid.Undef, err
	}
	if !isTextOf(c, text) {
		return cid.Undef, fmt.Errorf("%w: %q is not how %s is written", ErrCID, text, c)
	}
	return c, nil
}

// isTextOf tells whether text is c in the multibase that text itself names.
// The decoders skip line ends and ignore spare bits, so that many texts would
// stand for one CID.
func isTextOf(c cid.Cid, text string) bool {
	base, err := cid.ExtractEncoding(text)
	if err != nil {
		return false
	}
	want, err := c.StringOfBase(base)
	return err == nil && strings.EqualFold(text, want)
}

// ParseVideoCIDBytes reads the binary form of a video's CID.
func ParseVideoCIDBytes(data []byte) (cid.Cid, error) {
	if len(data) > maxCIDBytes {
		return cid.Undef, fmt.Errorf("%w: %d bytes are too many", ErrCID, len(data))
	}
	c, err := cid.Cast(data)
	if err != nil {
		return cid.Undef, fmt.Errorf("%w: %v", ErrCID, err)
	}
	if _, err := NodeDigest(c); err != nil {
		return cid.Undef, err
	}
	return c, nil
}

func sum(data []byte) Digest { return blake3.Sum256(data) }
