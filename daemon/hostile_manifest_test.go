package daemon_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io/fs"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"lukechampine.com/blake3"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/manifest"
)

// nonsense has manifests that match their CIDs and make no video.
type nonsense struct{ *honest }

// malformedNode is CBOR of another version than there is.
func malformedNode(seed byte) []byte {
	return binary.BigEndian.AppendUint32([]byte{0xa1, 0x67, 'v', 'e', 'r', 's', 'i', 'o', 'n', 0x1a}, 0x7000_0000+uint32(seed))
}

func malformedVideo(t *testing.T, seed byte) cid.Cid {
	t.Helper()
	sum := blake3.Sum256(malformedNode(seed))
	hash, err := multihash.Encode(sum[:], multihash.BLAKE3)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.DagCBOR, hash)
}

func (n nonsense) ManifestNode(_ context.Context, video cid.Cid, _ []int) ([]byte, error) {
	for seed := range byte(10) {
		sum := blake3.Sum256(malformedNode(seed))
		if bytes.HasSuffix(video.Bytes(), sum[:]) {
			return malformedNode(seed), nil
		}
	}
	return nil, fs.ErrNotExist
}

func (n nonsense) Holdings(cid.Cid) (*manifest.Holdings, <-chan struct{}, error) {
	return manifest.AllHoldings(1), nil, nil
}

// A manifest that is what was asked for, and no manifest, is the fault of who
// made it: the video is refused by name, and the peer that sent it is not blamed.
func TestMalformedManifestBlamesNobody(t *testing.T) {
	b := startNode(t)
	addr := startLibrary(t, nonsense{smallVideo(t, 1)})
	video := malformedVideo(t, 3)
	_, err := b.Fetch(t.Context(), api.FetchRequest{Ref: video.String(), Peers: []string{addr}, Timeout: patience}, nil)
	wantCode(t, err, api.CodeCorrupt, video.String(), "names no video", "malformed")
	banned := map[string]*api.Ban{}
	addBans(t, b, banned)
	if len(banned) != 0 {
		t.Errorf("banned are %v", banned)
	}
}
