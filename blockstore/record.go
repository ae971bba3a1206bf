package blockstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/manifest"
)

// maxRecordBytes is the longest record: a path, a name and a job's
// specification together stay below it.
const maxRecordBytes = 64 << 10

// errRecord is returned for a record in the index that cannot be one of ours.
var errRecord = errors.New("damaged record in the index")

// Records have numbered fields, so that later versions can add some. Times are
// nanoseconds since 1970, 0 for none; videos are manifest digests.

type fileRecord struct {
	Path       string `cbor:"1,keyasint"`
	Size       int64  `cbor:"2,keyasint"`
	ModTime    int64  `cbor:"3,keyasint"`
	ChangeTime int64  `cbor:"4,keyasint"`
	Inode      uint64 `cbor:"5,keyasint"`
	Device     uint64 `cbor:"6,keyasint"`
	Video      []byte `cbor:"7,keyasint"`
	Origin     string `cbor:"8,keyasint"`
	When       int64  `cbor:"9,keyasint"`
}

type videoRecord struct {
	Video     []byte `cbor:"1,keyasint"`
	Name      string `cbor:"2,keyasint"`
	MediaType string `cbor:"3,keyasint"`
	Size      int64  `cbor:"4,keyasint"`
	Added     int64  `cbor:"5,keyasint"`
	State     string `cbor:"6,keyasint"`
	Signer    string `cbor:"7,keyasint"`
	RelPath   string `cbor:"8,keyasint"`
	Recording string `cbor:"9,keyasint,omitempty"`
}

type receiptRecord struct {
	File      uint64 `cbor:"1,keyasint"` // its number
	Part      string `cbor:"2,keyasint"`
	Final     string `cbor:"3,keyasint"`
	Inode     uint64 `cbor:"4,keyasint"`
	Device    uint64 `cbor:"5,keyasint"`
	Recording string `cbor:"6,keyasint,omitempty"`
}

type jobRecord struct {
	Kind      string `cbor:"1,keyasint"`
	Video     []byte `cbor:"2,keyasint"` // empty: none
	State     string `cbor:"3,keyasint"`
	Spec      []byte `cbor:"4,keyasint"`
	Attempts  int    `cbor:"5,keyasint"`
	NotBefore int64  `cbor:"6,keyasint"`
	Created   int64  `cbor:"7,keyasint"`
	Updated   int64  `cbor:"8,keyasint"`
	Message   string `cbor:"9,keyasint"`
}

var (
	encoding = mustMode(cbor.EncOptions{
		Sort:        cbor.SortCoreDeterministic,
		IndefLength: cbor.IndefLengthForbidden,
	}.EncMode())
	decoding = mustMode(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		MaxArrayElements: 16, // no record has arrays
		MaxMapPairs:      64,
		MaxNestedLevels:  4,
		UTF8:             cbor.UTF8DecodeInvalid, // file names are bytes
	}.DecMode())
)

func mustMode[M any](mode M, err error) M {
	if err != nil {
		panic("blockstore: internal error: cbor mode: " + err.Error())
	}
	return mode
}

func encodeRecord(record any) ([]byte, error) {
	data, err := encoding.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	if len(data) > maxRecordBytes {
		return nil, fmt.Errorf("record of %d bytes, limit %d", len(data), maxRecordBytes)
	}
	return data, nil
}

func decodeRecord(data []byte, record any) error {
	if len(data) > maxRecordBytes {
		return fmt.Errorf("%w: %d bytes, limit %d", errRecord, len(data), maxRecordBytes)
	}
	if err := decoding.Unmarshal(data, record); err != nil {
		return fmt.Errorf("%w: %v", errRecord, err)
	}
	return nil
}

// videoCID is the CID of the video whose manifest has digest d.
func videoCID(d manifest.Digest) cid.Cid {
	return cid.NewCidV1(cid.DagCBOR, manifest.BlockCID(d).Hash())
}

// digestField reads a digest out of a record.
func digestField(b []byte) (manifest.Digest, error) {
	if len(b) != digestLen {
		return manifest.Digest{}, fmt.Errorf("%w: digest of %d bytes", errRecord, len(b))
	}
	return manifest.Digest(b), nil
}

// numberField reads a number that is a whole value.
func numberField(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: number of %d bytes", errRecord, len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

func encodeNumber(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func timeAt(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
