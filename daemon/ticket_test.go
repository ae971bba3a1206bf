package daemon

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/manifest"
)

func testKey(t testing.TB) (crypto.PrivKey, peer.ID) {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, id
}

func testVideo(t testing.TB, seed byte) *manifest.Manifest {
	t.Helper()
	m, err := manifest.New(1, []manifest.Digest{{seed}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func testCapability(t testing.TB, life time.Duration) (capability, []byte, crypto.PrivKey) {
	t.Helper()
	key, id := testKey(t)
	c := capability{Video: testVideo(t, 1).CID(), Signer: id, Expires: time.Now().Add(life)}
	body, err := signCapability(key, c)
	if err != nil {
		t.Fatal(err)
	}
	return c, body, key
}

func testTicket(t testing.TB) string {
	t.Helper()
	_, body, _ := testCapability(t, time.Hour)
	data, err := cbor.Marshal(ticket{Version: ticketVersion, Name: "talk.mp4", Capability: body, Addrs: [][]byte{}})
	if err != nil {
		t.Fatal(err)
	}
	return ticketPrefix + strings.ToLower(ticketEncoding.EncodeToString(data))
}

func TestTicketRoundTrip(t *testing.T) {
	text := testTicket(t)
	for _, form := range []string{text, strings.ToUpper(text)} { // a QR code holds upper case
		if !isTicket(form) {
			t.Fatalf("%s… is not taken for a ticket", form[:12])
		}
		inv, err := parseTicket(form)
		if err != nil {
			t.Fatal(err)
		}
		if inv.Name != "talk.mp4" || inv.Provider.ID != inv.Signer || inv.Video != testVideo(t, 1).CID() {
			t.Errorf("ticket says %+v", inv)
		}
	}
}

func TestEveryChangedCharacterIsRefused(t *testing.T) {
	text := testTicket(t)
	whole, err := parseTicket(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(ticketPrefix); i < len(text); i++ {
		for _, c := range "a7" {
			changed := text[:i] + string(c) + text[i+1:]
			inv, err := parseTicket(changed)
			if err == nil && changed != text && inv.Name == whole.Name {
				t.Errorf("character %d may be %c instead of %c", i, c, text[i])
			}
		}
	}
}

func TestCapabilityCheck(t *testing.T) {
	c, body, _ := testCapability(t, time.Hour)
	parsed, err := parseCapability(body)
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.check(c.Video, time.Now()); err != nil {
		t.Errorf("valid: %v", err)
	}
	if err := parsed.check(testVideo(t, 2).CID(), time.Now()); err == nil {
		t.Error("accepted for another video")
	}
	if err := parsed.check(c.Video, c.Expires.Add(time.Second)); !errors.Is(err, errExpired) {
		t.Errorf("after its time: %v", err)
	}
}

func TestForgedCapability(t *testing.T) {
	c, _, _ := testCapability(t, time.Hour)
	other, _ := testKey(t)
	forged, err := signCapability(other, c) // says that c.Signer signed it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseCapability(forged); err == nil {
		t.Error("a signature by another key is accepted")
	}
}

// Tickets from before they said when they were made still count.
func TestOldCapability(t *testing.T) {
	key, id := testKey(t)
	video := testVideo(t, 1).CID()
	body, err := cbor.Marshal(oldClaims{Video: video.Bytes(), Signer: []byte(id), Expires: 4e9, ID: [8]byte{7}})
	if err != nil {
		t.Fatal(err)
	}
	sig, err := key.Sign(append([]byte(signingDomain), body...))
	if err != nil {
		t.Fatal(err)
	}
	data, err := cbor.Marshal(signed{Claims: body, Signature: sig})
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseCapability(data)
	if want := (capability{Video: video, Signer: id, Expires: time.Unix(4e9, 0), ID: [8]byte{7}}); err != nil || c != want {
		t.Errorf("parsed %+v, %v, want %+v", c, err, want)
	}
}

func FuzzParseTicket(f *testing.F) {
	f.Add(testTicket(f))
	f.Add(ticketPrefix)
	f.Add(ticketPrefix + "aaaa")
	f.Fuzz(func(t *testing.T, text string) {
		if !isTicket(text) {
			return
		}
		inv, err := parseTicket(text)
		if err != nil {
			return
		}
		if inv.Signer == "" || !inv.Video.Defined() {
			t.Errorf("accepted %q without signer or video", text)
		}
	})
}

func FuzzParseCapability(f *testing.F) {
	_, body, _ := testCapability(f, time.Hour)
	f.Add(body)
	f.Add([]byte{0x82, 0x40, 0x40})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCapability(data)
		if err == nil && c.Signer == "" {
			t.Errorf("accepted %x without signer", data)
		}
	})
}
