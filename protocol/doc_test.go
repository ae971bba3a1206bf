package protocol_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	corep2p "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

// hexBlock is a fenced block of the document whose info string is hex and a
// name. In it, # starts a comment.
var hexBlock = regexp.MustCompile("(?s)```hex ([^\n]*)\n(.*?)```")

// documented returns the bytes of each hex block in docs/protocol.md.
func documented(t *testing.T) map[string][]byte {
	t.Helper()
	doc, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := make(map[string][]byte)
	for _, match := range hexBlock.FindAllStringSubmatch(string(doc), -1) {
		var digits strings.Builder
		for line := range strings.Lines(match[2]) {
			line, _, _ = strings.Cut(line, "#")
			digits.WriteString(strings.Join(strings.Fields(line), ""))
		}
		data, err := hex.DecodeString(digits.String())
		if err != nil {
			t.Fatalf("block %q: %v", match[1], err)
		}
		blocks[match[1]] = data
	}
	return blocks
}

// recorder passes streams on to another peer and keeps what went by.
type recorder struct {
	mu   sync.Mutex
	seen map[string]*bytes.Buffer
}

func (r *recorder) passOn(h host.Host, to peer.ID) {
	for id, name := range map[corep2p.ID]string{
		protocol.ManifestID: "manifest", protocol.HoldingsID: "holdings", protocol.PiecesID: "pieces",
		protocol.CatalogueID: "catalogue", protocol.NoticeID: "notice", protocol.TranscriptID: "transcript", protocol.PairID: "pair",
	} {
		h.SetStreamHandler(id, func(from network.Stream) {
			defer from.Reset()
			onward, err := h.NewStream(context.Background(), to, id)
			if err != nil {
				return
			}
			defer onward.Reset()
			var wg sync.WaitGroup
			wg.Go(func() { r.copy(name+" client", onward, from) })
			wg.Go(func() { r.copy(name+" server", from, onward) })
			wg.Wait()
		})
	}
}

func (r *recorder) copy(name string, to, from network.Stream) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		r.add(name, buf[:n])
		if _, failed := to.Write(buf[:n]); failed != nil {
			return
		}
		if err == io.EOF {
			_ = to.CloseWrite()
			return
		}
		if err != nil {
			_ = to.Reset()
			return
		}
	}
}

func (r *recorder) add(name string, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[name] == nil {
		r.seen[name] = new(bytes.Buffer)
	}
	r.seen[name].Write(data)
}

func (r *recorder) bytes(name string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[name] == nil {
		return nil
	}
	return bytes.Clone(r.seen[name].Bytes())
}

// compare compares what went by with blocks of the document.
func (r *recorder) compare(t *testing.T, blocks map[string][]byte, parts ...string) {
	t.Helper()
	for _, part := range parts {
		for _, side := range []string{"client", "server"} {
			name := part + " " + side
			if want, got := blocks[name], r.bytes(name); !bytes.Equal(got, want) {
				t.Errorf("%s\n sent       %x\n documented %x", name, got, want)
			}
		}
	}
}

// The exchange in the document is what two nodes say.
func TestDocumentedExchange(t *testing.T) {
	v := splitVideo(t, 8, []byte("vidsync\n"), nil)
	server, proxy := newHosts(t, "tcp")
	client := newHost(t, "tcp")
	connect(t, client, proxy)
	serve(t, server, protocol.ServerConfig{Library: newLibrary(v)})
	rec := &recorder{seen: make(map[string]*bytes.Buffer)}
	rec.passOn(proxy, server.ID())

	fetched := protocol.NewRemote(client, proxy.ID(), v.manifest.CID(), []byte(capability), protocol.ClientConfig{})
	if _, err := fetched.Manifest(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := run(t, client, proxy.ID(), v.manifest, protocol.ClientConfig{DataStreams: 1})
	if err := checkPiece(t.Context(), r.Remote, v, 0, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "holdings", func() bool { return r.mask(0) == 1 })
	_ = r.stop()

	blocks := documented(t)
	rec.compare(t, blocks, "manifest", "holdings", "pieces")
	if got, want := v.manifest.CID().Bytes(), blocks["video"]; !bytes.Equal(got, want) {
		t.Errorf("video %x, documented %x (%s)", got, want, v.manifest.CID())
	}
}

// The limits in the document are those of the code.
func TestDocumentedLimits(t *testing.T) {
	doc, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\|.*?([0-9,]+)( bytes| links)? \\| `([a-zA-Z.]+)` \\|$")
	limits := map[string]int{
		"MaxOpenBytes": protocol.MaxOpenBytes, "MaxCapabilityBytes": protocol.MaxCapabilityBytes,
		"MaxPathLen": protocol.MaxPathLen, "MaxRequestBytes": protocol.MaxRequestBytes,
		"MaxAnswerBytes": protocol.MaxAnswerBytes, "MaxNameBytes": protocol.MaxNameBytes, "MaxChangeBytes": protocol.MaxChangeBytes,
		"MaxChanges": protocol.MaxChanges, "MaxOutstanding": protocol.MaxOutstanding, "MaxImpossibleGets": protocol.MaxImpossibleGets,
		"manifest.MaxNodeBytes": manifest.MaxNodeBytes, "manifest.PieceSize": manifest.PieceSize,
		"manifest.MaxProofBytes": manifest.MaxProofBytes,
		"MaxFollowBytes":         protocol.MaxFollowBytes, "MaxBatchBytes": protocol.MaxBatchBytes, "MaxBatchEntries": protocol.MaxBatchEntries,
		"MaxRecordingBytes": protocol.MaxRecordingBytes, "MaxRelPathBytes": protocol.MaxRelPathBytes,
		"MaxMediaTypeBytes": protocol.MaxMediaTypeBytes, "MaxStateBytes": protocol.MaxStateBytes,
		"MaxReceiptBytes": protocol.MaxReceiptBytes, "MaxNoticeBytes": protocol.MaxNoticeBytes, "MaxNotices": protocol.MaxNotices,
		"MaxSidecarBytes": protocol.MaxSidecarBytes, "MaxPairBytes": protocol.MaxPairBytes,
		"MinSecretBytes": protocol.MinSecretBytes, "MaxSecretBytes": protocol.MaxSecretBytes,
		"MaxPeerNameBytes": protocol.MaxPeerNameBytes, "MaxPairAddrs": protocol.MaxPairAddrs, "MaxAddrBytes": protocol.MaxAddrBytes,
	}
	rows := row.FindAllStringSubmatch(string(doc), -1)
	if len(rows) != len(limits)+1 { // MaxChangeBytes has two
		t.Errorf("%d limits in the document, want %d", len(rows), len(limits)+1)
	}
	for _, match := range rows {
		if got := strings.ReplaceAll(match[1], ",", ""); got != fmt.Sprint(limits[match[3]]) {
			t.Errorf("%s is %d, documented as %s", match[3], limits[match[3]], got)
		}
	}
}

// The proofs in the document are those of a block of 2 MiB and a byte, byte i
// of which is i%251.
func TestDocumentedProofs(t *testing.T) {
	const blockLen = 2*manifest.PieceSize + 1
	data := make([]byte, blockLen)
	for i := range data {
		data[i] = byte(i % 251)
	}
	v := splitVideo(t, blockLen, data, nil)
	blocks := documented(t)
	digest := v.manifest.Block(0).Digest
	if want := blocks["block digest"]; !bytes.Equal(digest[:], want) {
		t.Errorf("digest %x, documented %x", digest[:], want)
	}
	for piece := range 3 {
		proof := v.proof(nil, 0, piece)
		if err := manifest.CheckPiece(digest, blockLen, piece, v.piece(0, piece), proof); err != nil {
			t.Fatal(err)
		}
		if want := blocks[fmt.Sprintf("proof of piece %d", piece)]; !bytes.Equal(proof, want) {
			t.Errorf("proof of piece %d\n is         %x\n documented %x", piece, proof, want)
		}
	}
}
