package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/daemon"
)

// testNode is a real node on loopback for the length of a test.
type testNode struct {
	*daemon.Node
	home string
	stop func() // ends Run and closes the node
}

func paths(home string) daemon.Paths {
	at := func(name string) string { return filepath.Join(home, name) }
	return daemon.Paths{
		Identity: at("identity.key"), Peers: at("peers.json"), Index: at("index"), Work: at("work"),
		Videos: at("videos"), Socket: at("vidsync.sock"), Lock: at("lock"), APIToken: at("api.token"),
		Limits: at("limits.json"), Banned: at("banned.json"), Damaged: at("damaged.json"), Revoked: at("revoked.json"),
	}
}

func startNode(t *testing.T, change ...func(*daemon.Config)) *testNode {
	t.Helper()
	return startNodeAt(t, t.TempDir(), change...)
}

func startNodeAt(t *testing.T, home string, change ...func(*daemon.Config)) *testNode {
	t.Helper()
	cfg := daemon.Config{Paths: paths(home), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoMDNS: true, NoTranscribe: true, Version: "test"}
	for _, c := range change {
		c(&cfg)
	}
	node, err := daemon.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	n := &testNode{Node: node, home: home}
	stopped := false
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-ended, node.Close()); err != nil {
			t.Errorf("stop node: %v", err)
		}
	}
	t.Cleanup(n.stop)
	return n
}

// addr is the node's first address, with its peer ID.
func (n *testNode) addr(t *testing.T) string {
	t.Helper()
	id, err := n.ID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id.Addrs[0]
}

// trusts makes n trust other and know where it is.
func (n *testNode) trusts(t *testing.T, other *testNode) {
	t.Helper()
	if _, err := n.AddPeer(t.Context(), api.AddPeerRequest{Addr: other.addr(t)}); err != nil {
		t.Fatal(err)
	}
}

func (n *testNode) add(t *testing.T, path string) api.Added {
	t.Helper()
	res, err := n.Add(t.Context(), api.AddRequest{Paths: []string{path}}, nil)
	if err != nil || len(res.Added) != 1 {
		t.Fatalf("add %s: %+v, %v", path, res, err)
	}
	return res.Added[0]
}

func (n *testNode) ticket(t *testing.T, ref string) string {
	t.Helper()
	ticket, err := n.Ticket(t.Context(), api.TicketRequest{Ref: ref})
	if err != nil {
		t.Fatal(err)
	}
	return ticket.Ticket
}

// randomFile makes a file of n bytes that differs with the seed.
func randomFile(t *testing.T, name string, n int, seed uint64) (string, []byte) {
	t.Helper()
	data := make([]byte, n)
	chacha := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	chacha.Read(data)
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, data
}

func sameFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes that are not the %d of the original", path, len(got), len(want))
	}
}

func wantCode(t *testing.T, err error, want api.Code, words ...string) {
	t.Helper()
	if api.CodeOf(err) != want {
		t.Fatalf("error %v has code %d, want %d", err, api.CodeOf(err), want)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

const (
	mib     = 1 << 20
	oddSize = 70*mib + 12345 // three blocks, the last one short

	shortWait = 3 * time.Second
)

func TestFetchByTicketThenFromBoth(t *testing.T) {
	a, b, c := startNode(t), startNode(t), startNode(t)
	path, data := randomFile(t, "talk.mp4", oddSize, 1)
	added := a.add(t, path)
	ticket := a.ticket(t, added.CID)

	first, err := b.Fetch(t.Context(), api.FetchRequest{Ref: ticket}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if first.BytesReceived != oddSize || first.Path != filepath.Join(b.home, "videos", "talk.mp4") {
		t.Errorf("first fetch: %+v", first)
	}
	sameFile(t, first.Path, data)

	// b trusts nobody, but it has the video by a ticket of a: whoever bears
	// one of a's tickets may have it from b too.
	second, err := c.Fetch(t.Context(), api.FetchRequest{Ref: ticket, Peers: []string{b.addr(t)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sameFile(t, second.Path, data)
	if second.BytesReceived-second.DuplicateBytes != oddSize || len(second.Peers) != 2 {
		t.Errorf("second fetch: %+v", second)
	}
}

func TestStrangersGetNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	a, b := startNode(t), startNode(t)
	path, _ := randomFile(t, "secret.mp4", 3*mib, 2)
	added := a.add(t, path)
	_, err := b.Fetch(t.Context(), api.FetchRequest{Ref: added.CID, Peers: []string{a.addr(t)}}, nil)
	wantCode(t, err, api.CodeRefused, "vidsync peer add")

	other, _ := randomFile(t, "other.mp4", 3*mib, 3)
	wrong := a.ticket(t, a.add(t, other).CID)
	if _, err := b.Fetch(t.Context(), api.FetchRequest{Ref: wrong}, nil); err != nil {
		t.Errorf("the ticket's own video: %v", err)
	}

	a.trusts(t, b)
	res, err := b.Fetch(t.Context(), api.FetchRequest{Ref: added.CID, Peers: []string{a.addr(t)}}, nil)
	if err != nil {
		t.Fatalf("once trusted: %v", err)
	}
	if filepath.Base(res.Path) != "secret.mp4" {
		t.Errorf("fetched by CID as %s, want the provider's name for it", filepath.Base(res.Path))
	}
}

func TestExpiredTicket(t *testing.T) {
	a, b := startNode(t), startNode(t)
	path, _ := randomFile(t, "talk.mp4", mib, 4)
	ticket, err := a.Ticket(t.Context(), api.TicketRequest{Ref: a.add(t, path).CID, Expires: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Fetch(t.Context(), api.FetchRequest{Ref: ticket.Ticket}, nil)
	wantCode(t, err, api.CodeRefused, "expired")
}

func TestFetchErrors(t *testing.T) {
	t.Parallel() // it mostly waits
	n := startNode(t)
	tests := map[string]struct {
		req  api.FetchRequest
		code api.Code
	}{
		"not a reference":  {api.FetchRequest{Ref: "talk.mp4"}, api.CodeUsage},
		"damaged ticket":   {api.FetchRequest{Ref: "vidsync1abc"}, api.CodeUsage},
		"bad peer":         {api.FetchRequest{Ref: nobodyHas, Peers: []string{"/ip4/127.0.0.1/tcp/1"}}, api.CodeUsage},
		"nobody to ask":    {api.FetchRequest{Ref: nobodyHas}, api.CodeUnavailable},
		"relative output":  {api.FetchRequest{Ref: nobodyHas, Output: "talk.mp4"}, api.CodeUsage},
		"negative timeout": {api.FetchRequest{Ref: nobodyHas, Timeout: -1}, api.CodeUsage},
		"timeout":          {api.FetchRequest{Ref: nobodyHas, Timeout: 100 * time.Millisecond}, api.CodeUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := n.Fetch(t.Context(), tt.req, nil)
			wantCode(t, err, tt.code)
		})
	}
}
