package protocol_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

// testKey is the same in every run: what it signs stands in the document.
func testKey(t testing.TB) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, key crypto.PrivKey, video cid.Cid) protocol.SignedReceipt {
	t.Helper()
	r, err := protocol.SignReceipt(key, video, 8, time.Date(2025, 6, 1, 12, 30, 15, 999, time.FixedZone("", 7200)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sameReceipt(a, b protocol.SignedReceipt) bool {
	return a.Video == b.Video && a.Size == b.Size && a.At.Equal(b.At) && a.Holder == b.Holder && bytes.Equal(a.Signature, b.Signature)
}

func TestReceiptRoundTrip(t *testing.T) {
	r := sign(t, testKey(t), otherVideo(t))
	if want := time.Date(2025, 6, 1, 10, 30, 15, 0, time.UTC); !r.At.Equal(want) || r.At.Nanosecond() != 0 {
		t.Errorf("signed at %v, want %v", r.At, want)
	}
	data, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > protocol.MaxReceiptBytes {
		t.Errorf("receipt of %d bytes", len(data))
	}
	back, err := protocol.ParseSignedReceipt(data)
	if err != nil || !sameReceipt(back, r) {
		t.Fatalf("came back as %v, %v", back, err)
	}
	if err := back.Verify(); err != nil {
		t.Error(err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var read protocol.SignedReceipt
	if err := json.Unmarshal(text, &read); err != nil || !sameReceipt(read, r) || read.Verify() != nil {
		t.Errorf("%s came back as %v, %v", text, read, err)
	}
}

// The longest receipt keeps the limit.
func TestLongestReceipt(t *testing.T) {
	r, err := protocol.SignReceipt(testKey(t), otherVideo(t), manifest.MaxVideoSize, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	data, err := r.MarshalBinary()
	if err != nil || len(data) > protocol.MaxReceiptBytes {
		t.Errorf("receipt of %d bytes, %v", len(data), err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestReceiptIsOfThisAlone(t *testing.T) {
	good := sign(t, testKey(t), otherVideo(t))
	stranger, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	someone, err := peer.IDFromPrivateKey(stranger)
	if err != nil {
		t.Fatal(err)
	}
	ecdsa, _, err := crypto.GenerateECDSAKeyPair(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hashed, err := peer.IDFromPrivateKey(ecdsa)
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(r *protocol.SignedReceipt){
		"another video":      func(r *protocol.SignedReceipt) { r.Video = entries(t, 1, 1)[0].Video },
		"another size":       func(r *protocol.SignedReceipt) { r.Size++ },
		"another moment":     func(r *protocol.SignedReceipt) { r.At = r.At.Add(time.Second) },
		"another holder":     func(r *protocol.SignedReceipt) { r.Holder = someone },
		"another signature":  func(r *protocol.SignedReceipt) { r.Signature = bytes.Repeat([]byte{1}, 64) },
		"short signature":    func(r *protocol.SignedReceipt) { r.Signature = r.Signature[:63] },
		"no signature":       func(r *protocol.SignedReceipt) { r.Signature = nil },
		"no video":           func(r *protocol.SignedReceipt) { r.Video = cid.Undef },
		"a block":            func(r *protocol.SignedReceipt) { r.Video = manifest.BlockCID(manifest.Digest{1}) },
		"size below 0":       func(r *protocol.SignedReceipt) { r.Size = -1 },
		"size over the top":  func(r *protocol.SignedReceipt) { r.Size = manifest.MaxVideoSize + 1 },
		"before 1970":        func(r *protocol.SignedReceipt) { r.At = time.Unix(-1, 0) },
		"after 9999":         func(r *protocol.SignedReceipt) { r.At = time.Unix(253402300800, 0) },
		"no holder":          func(r *protocol.SignedReceipt) { r.Holder = "" },
		"garbage holder":     func(r *protocol.SignedReceipt) { r.Holder = "garbage" },
		"holder without key": func(r *protocol.SignedReceipt) { r.Holder = hashed },
	} {
		r := good
		edit(&r)
		if err := r.Verify(); !errors.Is(err, protocol.ErrReceipt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := good.Verify(); err != nil {
		t.Error(err)
	}
	if _, err := protocol.SignReceipt(ecdsa, otherVideo(t), 8, time.Now()); err == nil {
		t.Error("signed with a key that is not in the peer ID")
	}
}

func TestReceiptHasOneForm(t *testing.T) {
	r := sign(t, testKey(t), otherVideo(t))
	good, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if good[0] != 0x82 || good[1] != 0x58 {
		t.Fatalf("receipt begins with %x", good[:3])
	}
	for name, data := range map[string][]byte{
		"empty":             nil,
		"cut short":         good[:len(good)-1],
		"bytes after it":    append(bytes.Clone(good), 0),
		"indefinite length": append(append([]byte{0x9f}, good[1:]...), 0xff),
		"longer head":       append([]byte{0x98, 0x02}, good[1:]...),
		"longer length":     append([]byte{0x82, 0x59, 0x00}, good[2:]...),
		"map":               append([]byte{0xa1}, good[1:]...),
		"over the limit":    make([]byte, protocol.MaxReceiptBytes+1),
	} {
		if _, err := protocol.ParseSignedReceipt(data); !errors.Is(err, protocol.ErrReceipt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Third parties verify with Ed25519 alone.
func TestReceiptForThirdParties(t *testing.T) {
	text, err := json.Marshal(sign(t, testKey(t), otherVideo(t)))
	if err != nil {
		t.Fatal(err)
	}
	var form struct{ Signed, Signature string }
	if err := json.Unmarshal(text, &form); err != nil {
		t.Fatal(err)
	}
	signed, err := hex.DecodeString(form.Signed)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := hex.DecodeString(form.Signature)
	if err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(signed[len(signed)-32:], signed, signature) {
		t.Error("the signature does not hold")
	}
	for name, bad := range map[string]string{
		"size beside it":   strings.Replace(string(text), `"size":8`, `"size":9`, 1),
		"moment beside it": strings.Replace(string(text), `:15Z"`, `:15.5Z"`, 1),
		"signed":           strings.Replace(string(text), `"signed":"76`, `"signed":"77`, 1),
		"signature":        strings.Replace(string(text), `"signature":"`, `"signature":"00`, 1),
		"no field":         `{}`,
	} {
		var r protocol.SignedReceipt
		if bad == string(text) {
			t.Errorf("%s: nothing is changed in %s", name, text)
		}
		if err := json.Unmarshal([]byte(bad), &r); !errors.Is(err, protocol.ErrReceipt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
