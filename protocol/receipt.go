package protocol

import (
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/manifest"
)

// receiptDomain keeps a receipt's signature from meaning anything else.
const receiptDomain = "vidsync receipt 1\x00"

// MaxReceiptBytes is the longest signed receipt.
const MaxReceiptBytes = 256

const (
	ed25519SignatureBytes = 64
	// maxReceiptTime is the end of the year 9999, which is the last that RFC
	// 3339 can write.
	maxReceiptTime = 253402300799
)

// ErrReceipt says that a signed receipt is malformed, or that its signature
// does not hold.
var ErrReceipt = errors.New("not a valid receipt")

// SignedReceipt is a node's statement that it had the whole of a video,
// verified and on disk, at some moment.
type SignedReceipt struct {
	Video     cid.Cid
	Size      int64     // of the video, in bytes
	At        time.Time // whole seconds, from 1970 to 9999
	Holder    peer.ID   // who says so: an Ed25519 peer ID, which contains the key
	Signature []byte    // by the holder's key, 64 bytes
}

// receiptClaims is the signed part of a receipt.
type receiptClaims struct {
	_      struct{} `cbor:",toarray"`
	Video  []byte
	Size   int64
	At     int64 // seconds since 1970
	Holder []byte
}

// receiptBytes is a receipt as it is stored and sent.
type receiptBytes struct {
	_         struct{} `cbor:",toarray"`
	Claims    []byte
	Signature []byte
}

// SignReceipt makes a receipt in the name of key, which must be of the kind
// Ed25519. Fractions of a second are dropped.
func SignReceipt(key crypto.PrivKey, video cid.Cid, size int64, at time.Time) (SignedReceipt, error) {
	holder, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return SignedReceipt{}, fmt.Errorf("sign receipt: %w", err)
	}
	r := SignedReceipt{Video: video, Size: size, At: time.Unix(at.Unix(), 0).UTC(), Holder: holder}
	message, err := r.signedBytes()
	if err != nil {
		return SignedReceipt{}, fmt.Errorf("sign receipt: %w", err)
	}
	if r.Signature, err = key.Sign(message); err != nil {
		return SignedReceipt{}, fmt.Errorf("sign receipt: %w", err)
	}
	return r, nil
}

// Verify returns nil if the holder has signed exactly this, else an error that
// wraps ErrReceipt.
func (r SignedReceipt) Verify() error {
	message, err := r.signedBytes()
	if err != nil {
		return err
	}
	key, err := holderKey(r.Holder)
	if err != nil {
		return err
	}
	if ok, err := key.Verify(message, r.Signature); err != nil || !ok {
		return fmt.Errorf("%w: the signature does not hold", ErrReceipt)
	}
	return nil
}

// signedBytes is what the signature is over.
func (r SignedReceipt) signedBytes() ([]byte, error) {
	claims, err := r.claims()
	if err != nil {
		return nil, err
	}
	return append([]byte(receiptDomain), claims...), nil
}

// claims encodes all but the signature, once it is certain that it can be
// read back.
func (r SignedReceipt) claims() ([]byte, error) {
	if _, err := manifest.ParseVideoCIDBytes(r.Video.Bytes()); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrReceipt, err)
	}
	if r.Size < 0 || r.Size > manifest.MaxVideoSize {
		return nil, fmt.Errorf("%w: video of %d bytes", ErrReceipt, r.Size)
	}
	if at := r.At.Unix(); at < 0 || at > maxReceiptTime {
		return nil, fmt.Errorf("%w: moment %d", ErrReceipt, at)
	}
	if _, err := holderKey(r.Holder); err != nil {
		return nil, err
	}
	return cbor.Marshal(receiptClaims{Video: r.Video.Bytes(), Size: r.Size, At: r.At.Unix(), Holder: []byte(r.Holder)})
}

// holderKey takes the key out of a peer ID. An ID that is written in another
// way than the key's own is refused.
func holderKey(holder peer.ID) (crypto.PubKey, error) {
	key, err := holder.ExtractPublicKey()
	if err != nil {
		return nil, fmt.Errorf("%w: holder: %v", ErrReceipt, err)
	}
	if key.Type() != pb.KeyType_Ed25519 || !holder.MatchesPublicKey(key) {
		return nil, fmt.Errorf("%w: holder has no Ed25519 peer ID", ErrReceipt)
	}
	return key, nil
}

// MarshalBinary encodes the receipt, in the one form that there is for it, in
// at most MaxReceiptBytes.
func (r SignedReceipt) MarshalBinary() ([]byte, error) {
	claims, err := r.claims()
	if err != nil {
		return nil, err
	}
	if len(r.Signature) != ed25519SignatureBytes {
		return nil, fmt.Errorf("%w: signature of %d bytes", ErrReceipt, len(r.Signature))
	}
	return cbor.Marshal(receiptBytes{Claims: claims, Signature: r.Signature})
}

// ParseSignedReceipt reads what MarshalBinary wrote. It does not Verify the
// signature. Errors wrap ErrReceipt.
func ParseSignedReceipt(data []byte) (SignedReceipt, error) {
	if len(data) > MaxReceiptBytes {
		return SignedReceipt{}, fmt.Errorf("%w: %d bytes", ErrReceipt, len(data))
	}
	var outer receiptBytes
	var body receiptClaims
	if err := DecodeCanonical(data, &outer); err != nil {
		return SignedReceipt{}, fmt.Errorf("%w: %v", ErrReceipt, err)
	}
	if err := DecodeCanonical(outer.Claims, &body); err != nil {
		return SignedReceipt{}, fmt.Errorf("%w: claims: %v", ErrReceipt, err)
	}
	video, err := manifest.ParseVideoCIDBytes(body.Video)
	if err != nil {
		return SignedReceipt{}, fmt.Errorf("%w: %v", ErrReceipt, err)
	}
	r := SignedReceipt{
		Video: video, Size: body.Size, At: time.Unix(body.At, 0).UTC(),
		Holder: peer.ID(body.Holder), Signature: outer.Signature,
	}
	if _, err := r.MarshalBinary(); err != nil { // which checks every field
		return SignedReceipt{}, err
	}
	return r, nil
}
