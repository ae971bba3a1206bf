package manifest_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	mbase "github.com/multiformats/go-multibase"
	mh "github.com/multiformats/go-multihash"

	"github.com/vidsync/vidsync/manifest"
)

// emptyVideo is the CID of the video of no bytes.
const emptyVideo = "bafyr4ifqdtcocuo5pyzpkn2gu3cmaf3czhsa6bkiqjf26wkjiez6ln7l54"

func mustCID(t testing.TB, codec uint64, function uint64, digest []byte) cid.Cid {
	t.Helper()
	hash, err := mh.Encode(digest, function)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(codec, hash)
}

func TestDigestString(t *testing.T) {
	d := manifest.Digest{0: 0xaf, 1: 0x13, 31: 0x62}
	if got, want := d.String(), "af13"+strings.Repeat("0", 58)+"62"; got != want {
		t.Errorf("String() = %s, want %s", got, want)
	}
}

func TestBlockCID(t *testing.T) {
	d := manifest.Digest(bytes.Repeat([]byte{7}, 32))
	c := manifest.BlockCID(d)
	want := append([]byte{1, 0x55, 0x1e, 32}, d[:]...)
	if !bytes.Equal(c.Bytes(), want) {
		t.Errorf("BlockCID = %x, want %x", c.Bytes(), want)
	}
	if got, err := manifest.BlockDigest(c); err != nil || got != d {
		t.Errorf("BlockDigest = %v, %v, want %v", got, err, d)
	}
	if _, err := manifest.NodeDigest(c); !errors.Is(err, manifest.ErrCID) {
		t.Errorf("NodeDigest of a block's CID: error %v, want ErrCID", err)
	}
}

func TestParseVideoCIDBases(t *testing.T) {
	want, err := manifest.ParseVideoCID(emptyVideo)
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range []mbase.Encoding{mbase.Base2, mbase.Base16, mbase.Base32Upper, mbase.Base36, mbase.Base58BTC, mbase.Base64url} {
		text, err := want.StringOfBase(base)
		if err != nil {
			t.Fatal(err)
		}
		got, err := manifest.ParseVideoCID(text)
		if err != nil || got != want || got.String() != emptyVideo {
			t.Errorf("ParseVideoCID(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	got, err := manifest.ParseVideoCIDBytes(want.Bytes())
	if err != nil || got != want {
		t.Errorf("ParseVideoCIDBytes = %v, %v, want %v", got, err, want)
	}
}

func TestVideoCIDRefusals(t *testing.T) {
	digest := make([]byte, 32)
	sha := mustCID(t, cid.DagCBOR, mh.SHA2_256, digest)
	good, err := cid.Decode(emptyVideo)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		data []byte
		want string // part of the message
	}{
		{"empty", nil, ""},
		{"version 0", cid.NewCidV0(sha.Hash()).Bytes(), "version 0"},
		{"block", manifest.BlockCID(manifest.Digest{}).Bytes(), "raw (a block)"},
		{"dag-pb", mustCID(t, cid.DagProtobuf, mh.BLAKE3, digest).Bytes(), "0x70"},
		{"SHA-256", sha.Bytes(), "hash function 0x12"},
		{"BLAKE2b", mustCID(t, cid.DagCBOR, mh.BLAKE2B_MIN+31, digest).Bytes(), "hash function"},
		{"BLAKE3 of 20 bytes", mustCID(t, cid.DagCBOR, mh.BLAKE3, digest[:20]).Bytes(), "of 20 bytes"},
		{"BLAKE3 of 64 bytes", mustCID(t, cid.DagCBOR, mh.BLAKE3, make([]byte, 64)).Bytes(), "of 64 bytes"},
		{"identity", mustCID(t, cid.DagCBOR, mh.IDENTITY, digest).Bytes(), "hash function 0x0"},
		{"cut", good.Bytes()[:35], ""},
		{"extra byte", append(good.Bytes(), 0), "trailing"},
		{"version as a long varint", append([]byte{0x81, 0}, good.Bytes()[1:]...), ""},
		{"huge", make([]byte, 1<<20), "too many"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := manifest.ParseVideoCIDBytes(tc.data)
			if !errors.Is(err, manifest.ErrCID) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("ParseVideoCIDBytes: error %v, want ErrCID with %q", err, tc.want)
			}
			text, err := mbase.Encode(mbase.Base58BTC, tc.data[:min(len(tc.data), 4096)])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := manifest.ParseVideoCID(text); !errors.Is(err, manifest.ErrCID) {
				t.Errorf("ParseVideoCID: error %v, want ErrCID", err)
			}
		})
	}
	for _, text := range []string{"", "b", "hello", "/ipfs/" + emptyVideo, " " + emptyVideo, emptyVideo + "\n", emptyVideo[:30] + "\r\n" + emptyVideo[30:], emptyVideo[:58] + "5", emptyVideo[:58], "z" + emptyVideo, strings.Repeat("b", 1<<20)} {
		if c, err := manifest.ParseVideoCID(text); !errors.Is(err, manifest.ErrCID) {
			t.Errorf("ParseVideoCID(%.80q) = %v, %v, want ErrCID", text, c, err)
		}
	}
	if _, err := manifest.NodeDigest(cid.Undef); !errors.Is(err, manifest.ErrCID) {
		t.Errorf("NodeDigest(Undef): error %v, want ErrCID", err)
	}
}

func FuzzParseVideoCID(f *testing.F) {
	good, err := cid.Decode(emptyVideo)
	if err != nil {
		f.Fatal(err)
	}
	for _, base := range []mbase.Encoding{mbase.Identity, mbase.Base2, mbase.Base16, mbase.Base36, mbase.Base58BTC, mbase.Base64pad} {
		text, err := mbase.Encode(base, good.Bytes())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add(emptyVideo)
	f.Add(manifest.BlockCID(manifest.Digest{}).String())
	f.Add("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := manifest.ParseVideoCID(text)
		if err != nil {
			if !errors.Is(err, manifest.ErrCID) {
				t.Fatalf("error %v is not ErrCID", err)
			}
			return
		}
		d, err := manifest.NodeDigest(c)
		if err != nil {
			t.Fatalf("digest of an accepted CID: %v", err)
		}
		if want := append([]byte{1, 0x71, 0x1e, 32}, d[:]...); !bytes.Equal(c.Bytes(), want) {
			t.Fatalf("accepted %x, want %x", c.Bytes(), want)
		}
		if again, err := manifest.ParseVideoCID(c.String()); err != nil || again != c {
			t.Fatalf("parsed %s again: %v, %v", c, again, err)
		}
	})
}
