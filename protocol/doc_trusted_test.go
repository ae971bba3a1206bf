package protocol_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/vidsync/vidsync/protocol"
)

// documentedReceipt is signed by testKey for the video of the document.
func documentedReceipt(t *testing.T, video cid.Cid) protocol.SignedReceipt {
	t.Helper()
	r, err := protocol.SignReceipt(testKey(t), video, 8, time.Unix(1700000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// keyedHost is a host whose peer ID is that of testKey.
func keyedHost(t *testing.T) host.Host {
	t.Helper()
	options := append([]libp2p.Option{libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Identity(testKey(t))}, transports["tcp"]...)
	h, err := libp2p.New(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// The exchanges between trusted peers in the document are what they say.
func TestDocumentedTrustedExchanges(t *testing.T) {
	video := splitVideo(t, 8, []byte("vidsync\n"), nil).manifest.CID()
	server, client, proxy := newHost(t, "tcp"), newHost(t, "tcp"), keyedHost(t)
	connect(t, proxy, server)
	connect(t, client, proxy)
	shelf := newShelf(
		protocol.Entry{
			Seq: 7, Video: video, Name: "note.mp4", RelPath: "day 1/note.mp4", MediaType: "video/mp4",
			State: "whole", Size: 8, Added: time.Unix(1700000000, 0), Recording: "cam2-0042",
		},
		protocol.Entry{Seq: 9, Video: video, Removed: true, Recording: "cam2-0042"},
	)
	serve(t, server, protocol.ServerConfig{
		Peers: trust(proxy), Catalogue: shelf, Notices: &inbox{}, Pairing: &safe{secret: testSecret, ownName: "server"},
		Transcripts: drawer{sidecars: map[cid.Cid][]protocol.Sidecar{video: {{Format: "txt", Data: []byte("Hello.\n")}}}},
	})
	rec := &recorder{seen: make(map[string]*bytes.Buffer)}
	rec.passOn(proxy, server.ID())

	f := follow(t, client, proxy.ID(), protocol.Cursor{}, protocol.ClientConfig{})
	eventually(t, "entries", func() bool { return f.count() == 2 })
	_ = f.stop()
	receipt := documentedReceipt(t, video)
	if err := protocol.SendNotices(t.Context(), client, proxy.ID(), []protocol.Notice{{Receipt: &receipt}, {Transcript: video}}, protocol.ClientConfig{}); err != nil {
		t.Error(err)
	}
	if _, err := fetchTranscript(client, proxy, video, protocol.ClientConfig{}); err != nil {
		t.Error(err)
	}
	addrs := []ma.Multiaddr{ma.StringCast("/ip4/192.0.2.1/tcp/4001")}
	if _, err := protocol.Pair(t.Context(), client, proxy.ID(), testSecret, "laptop", addrs, protocol.ClientConfig{}); err != nil {
		t.Error(err)
	}
	rec.compare(t, documented(t), "catalogue", "notice", "transcript", "pair")
}

// The receipt in the document is one.
func TestDocumentedReceipt(t *testing.T) {
	r := documentedReceipt(t, splitVideo(t, 8, []byte("vidsync\n"), nil).manifest.CID())
	data, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if want := documented(t)["receipt"]; !bytes.Equal(data, want) {
		t.Errorf("receipt %x, documented %x", data, want)
	}
	doc, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatal("no receipt in JSON")
	}
	want, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.TrimSpace(block[1]), want) {
		t.Errorf("receipt in JSON\n%s\ndocumented\n%s", want, block[1])
	}
}
