package protocol

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/manifest"
)

// receiptJSON is a receipt for programs that are not vidsync. It contains the
// bytes that are signed, so that they need nothing but Ed25519 to verify it.
type receiptJSON struct {
	Video     string    `json:"video"`
	Size      int64     `json:"size"`
	At        time.Time `json:"at"`
	Holder    string    `json:"holder"`
	Signed    string    `json:"signed"`    // hexadecimal
	Signature string    `json:"signature"` // hexadecimal
}

// MarshalJSON writes the form of a receipt that docs/protocol.md describes for
// third parties.
func (r SignedReceipt) MarshalJSON() ([]byte, error) {
	signed, err := r.signedBytes()
	if err != nil {
		return nil, err
	}
	return json.Marshal(receiptJSON{
		Video: r.Video.String(), Size: r.Size, At: r.At.UTC().Truncate(time.Second), Holder: r.Holder.String(),
		Signed: hex.EncodeToString(signed), Signature: hex.EncodeToString(r.Signature),
	})
}

// UnmarshalJSON reads that form. It refuses a receipt whose fields are not
// what is signed, but does not Verify the signature. Errors wrap ErrReceipt,
// but for those of encoding/json.
func (r *SignedReceipt) UnmarshalJSON(data []byte) error {
	var form receiptJSON
	if err := json.Unmarshal(data, &form); err != nil {
		return err
	}
	video, err := manifest.ParseVideoCID(form.Video)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrReceipt, err)
	}
	holder, err := peer.Decode(form.Holder)
	if err != nil {
		return fmt.Errorf("%w: holder: %v", ErrReceipt, err)
	}
	signature, err := hex.DecodeString(form.Signature)
	if err != nil || len(signature) != ed25519SignatureBytes {
		return fmt.Errorf("%w: signature of %d characters", ErrReceipt, len(form.Signature))
	}
	read := SignedReceipt{Video: video, Size: form.Size, At: form.At.UTC(), Holder: holder, Signature: signature}
	signed, err := read.signedBytes()
	if err != nil {
		return err
	}
	if claimed, err := hex.DecodeString(form.Signed); err != nil || !bytes.Equal(claimed, signed) || form.At.Nanosecond() != 0 {
		return fmt.Errorf("%w: what is signed is something else", ErrReceipt)
	}
	*r = read
	return nil
}
