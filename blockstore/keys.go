package blockstore

import (
	"encoding/binary"

	"github.com/vidsync/vidsync/manifest"
)

// The index is one ordered map. The first byte of a key says what it is;
// D is a 32-byte digest, numbers are big-endian. Records are CBOR.
//
//	v           format of the index, decimal text
//	b D         proof: the outboard of block D
//	b D file    places: the positions of block D in that file, 4 bytes each
//	m D         manifest node D
//	t D root    node D, not itself the root, is part of the manifest tree root
//	f file      file record
//	p path      number of the file at that path
//	c D file    that file holds video D (no value)
//	r D         receipt record of video D
//	k file n    what is held of block n of a receipt: mask, partial outboard
//	d D         catalogue: sequence number of video D
//	l seq       catalogue: video record
//	s           catalogue: last sequence number given out
//	j ID        job record
//	i file n    import journal: digests of the blocks an import has written so far
//	x file      video whose places under that file number await removal
//	a kind 0 k  state record k of that kind: its value as it was given
//	~           nothing: written to be dropped again
//	u           identity of the catalogue: 16 random bytes
//	y seq       catalogue: digest of the video removed with that number
//	z D         catalogue: number under which video D was removed
//	w           catalogue: how many removals are remembered, 8 bytes, and the
//	            number of the newest that is not remembered any more
//
// File numbers come in runs that begin anywhere, and are never used twice. Imports and receipts have one
// from their start. A place counts only while the file record of its number
// exists, so places can be written in many transactions, long before that
// record, and removed long after it.
//
// The kinds a, u, y, z, w and ~ came later than the others. They did not change
// the format's number, for a program that does not know them reads all that it
// does know as before and leaves them alone. What it removes has no tombstone.
const (
	formatKey   = 'v'
	blockKey    = 'b'
	nodeKey     = 'm'
	treeKey     = 't'
	fileKey     = 'f'
	pathKey     = 'p'
	contentKey  = 'c'
	receiptKey  = 'r'
	maskKey     = 'k'
	entryKey    = 'd'
	logKey      = 'l'
	sequenceKey = 's'
	jobKey      = 'j'
	journalKey  = 'i'
	removedKey  = 'x'
	stateKey    = 'a'
	identityKey = 'u'
	tombKey     = 'y'
	buriedKey   = 'z'
	tombsKey    = 'w'
	flushKey    = '~'
)

const (
	digestLen = manifest.DigestSize
	proofKeys = 1 + digestLen     // length of a "b D" key
	placeKeys = 1 + digestLen + 8 // length of a "b D file" key
)

// fileID numbers a file record.
type fileID uint64

func digestKey(kind byte, d manifest.Digest) []byte {
	return append(append(make([]byte, 0, placeKeys), kind), d[:]...)
}

// digestFileKey is the key of kind for a digest and a file.
func digestFileKey(kind byte, d manifest.Digest, id fileID) []byte {
	return binary.BigEndian.AppendUint64(digestKey(kind, d), uint64(id))
}

func numberKey(kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, n)
}

// fileItemKey is the key of kind for item n of a file.
func fileItemKey(kind byte, id fileID, n int) []byte {
	return binary.BigEndian.AppendUint32(numberKey(kind, uint64(id)), uint32(n))
}

func textKey(kind byte, text string) []byte { return append([]byte{kind}, text...) }

func digestsKey(kind byte, a, b manifest.Digest) []byte {
	return append(digestKey(kind, a), b[:]...)
}

// keyDigest is the digest behind the first byte of a key.
func keyDigest(key []byte) (manifest.Digest, bool) {
	if len(key) < 1+digestLen {
		return manifest.Digest{}, false
	}
	return manifest.Digest(key[1 : 1+digestLen]), true
}

// keyTail is what stands behind the first byte and the digest of a key.
func keyTail(key []byte) []byte { return key[1+digestLen:] }

// keyNumber is the number at the start of b.
func keyNumber(b []byte) (uint64, bool) {
	if len(b) < 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}

// keyItem is the item in a key of fileItemKey.
func keyItem(key []byte) (int, bool) {
	if len(key) != 1+8+4 {
		return 0, false
	}
	return int(binary.BigEndian.Uint32(key[1+8:])), true
}
