package protocol

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/protocol/internal/wire"
)

func fuzzReceipt(f *testing.F) SignedReceipt {
	f.Helper()
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(make([]byte, 32)))
	if err != nil {
		f.Fatal(err)
	}
	r, err := SignReceipt(key, testVideo, 8, time.Unix(1700000000, 0))
	if err != nil {
		f.Fatal(err)
	}
	return r
}

// FuzzSignedReceipt: what is accepted is in its one form.
func FuzzSignedReceipt(f *testing.F) {
	data, err := fuzzReceipt(f).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:50])
	f.Add(append([]byte{0x98, 0x02}, data[1:]...))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseSignedReceipt(data)
		if err != nil {
			return
		}
		again, err := r.MarshalBinary()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x came back as %x, %v", data, again, err)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%x cannot be written as JSON: %v", data, err)
		}
	})
}

// FuzzSignedReceiptJSON: what is accepted says what is signed.
func FuzzSignedReceiptJSON(f *testing.F) {
	text, err := json.Marshal(fuzzReceipt(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"video":"bafy"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var r SignedReceipt
		if json.Unmarshal(text, &r) != nil || string(bytes.TrimSpace(text)) == "null" {
			return
		}
		data, err := r.MarshalBinary()
		if err != nil {
			t.Fatalf("%s was accepted: %v", text, err)
		}
		back, err := ParseSignedReceipt(data)
		if err != nil || !back.At.Equal(r.At) || back.Size != r.Size || back.Video != r.Video || back.Holder != r.Holder {
			t.Fatalf("%v came back as %v, %v", r, back, err)
		}
	})
}

// FuzzNotice: a receipt that is accepted was signed by its sender.
func FuzzNotice(f *testing.F) {
	r := fuzzReceipt(f)
	for _, n := range []Notice{{Receipt: &r}, {Transcript: testVideo}} {
		m, err := encodeNotice(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded(f, m))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var m wire.Notice
		if proto.Unmarshal(data, &m) != nil {
			return
		}
		n, err := decodeNotice(&m, r.Holder)
		if err != nil {
			return
		}
		if n.Receipt != nil && (n.Receipt.Holder != r.Holder || n.Receipt.Verify() != nil) {
			t.Errorf("accepted %v", n.Receipt)
		}
		if _, err := encodeNotice(n); err != nil {
			t.Errorf("%v was accepted: %v", n, err)
		}
	})
}
