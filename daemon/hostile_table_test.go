package daemon_test

import (
	"bytes"
	"context"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

// mostHeap is what an attack on a node may make the heap grow by.
const mostHeap = 64 << 20

// watchHeap fails the test if the heap grows by limit bytes or more before the
// returned function is called.
func watchHeap(t *testing.T, limit uint64) (stop func()) {
	t.Helper()
	percent := debug.SetGCPercent(10) // or garbage would count for much
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	heap := func() uint64 { metrics.Read(sample); return sample[0].Value.Uint64() }
	before, most := heap(), uint64(0)
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-tick.C:
				most = max(most, heap())
			case <-ended:
				tick.Stop()
				return
			}
		}
	})
	return func() {
		close(ended)
		wg.Wait()
		debug.SetGCPercent(percent)
		if most > before && most-before >= limit {
			t.Errorf("the heap grew by %d MiB", (most-before)>>20)
		}
	}
}

// honest serves one video as it is.
type honest struct {
	m    *manifest.Manifest
	data []byte
	out  []manifest.Outboard
}

func (h *honest) knows(video cid.Cid) error {
	if video != h.m.CID() {
		return fs.ErrNotExist
	}
	return nil
}

func (h *honest) ManifestNode(_ context.Context, video cid.Cid, _ []int) ([]byte, error) {
	if err := h.knows(video); err != nil {
		return nil, err
	}
	for node, err := range h.m.Nodes() {
		return bytes.Clone(node.Data), err // a short video has one node
	}
	return nil, fs.ErrNotExist
}

func (h *honest) Holdings(video cid.Cid) (*manifest.Holdings, <-chan struct{}, error) {
	return manifest.AllHoldings(h.m.Size()), nil, h.knows(video)
}

func (h *honest) Piece(_ context.Context, _ cid.Cid, block, piece int, buf, proof []byte) ([]byte, []byte, error) {
	b := h.m.Block(block)
	n := copy(buf[:manifest.PieceLen(b.Len, piece)], h.data[b.Offset+int64(piece)*manifest.PieceSize:])
	return buf[:n], h.out[block].AppendProof(proof[:0], b.Len, piece), nil
}

// twisted is an honest library but for what is set.
type twisted struct {
	*honest
	node     func(data []byte) []byte
	holdings func() *manifest.Holdings
	piece    func(ctx context.Context, h *honest, piece int, data, proof []byte) ([]byte, []byte, error)
	name     string
}

func (w *twisted) Name(cid.Cid) string { return w.name }

func (w *twisted) ManifestNode(ctx context.Context, video cid.Cid, path []int) ([]byte, error) {
	data, err := w.honest.ManifestNode(ctx, video, path)
	if err == nil && w.node != nil {
		data = w.node(data)
	}
	return data, err
}

func (w *twisted) Holdings(video cid.Cid) (*manifest.Holdings, <-chan struct{}, error) {
	if w.holdings != nil && w.knows(video) == nil {
		return w.holdings(), nil, nil
	}
	return w.honest.Holdings(video)
}

func (w *twisted) Piece(ctx context.Context, video cid.Cid, block, piece int, buf, proof []byte) ([]byte, []byte, error) {
	data, proof, err := w.honest.Piece(ctx, video, block, piece, buf, proof)
	if err == nil && w.piece != nil {
		return w.piece(ctx, w.honest, piece, data, proof)
	}
	return data, proof, err
}

func smallVideo(t *testing.T, seed byte) *honest {
	t.Helper()
	h := &honest{data: make([]byte, 3*mib+12345), out: make([]manifest.Outboard, 1)}
	rand.NewChaCha8([32]byte{seed, 7}).Read(h.data)
	var err error
	h.m, err = manifest.Split(t.Context(), bytes.NewReader(h.data), int64(len(h.data)), manifest.SplitConfig{
		Block: func(b manifest.Block, o manifest.Outboard) error { h.out[b.Index] = o; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// lies are what a provider may do wrong. Who is bad sent bytes that are not
// the video's; others are only of no use.
var lies = []struct {
	name  string
	twist twisted
	code  api.Code // of a fetch from nobody else
	bad   bool
}{
	{name: "wrong byte", twist: twisted{piece: func(_ context.Context, _ *honest, _ int, data, proof []byte) ([]byte, []byte, error) {
		data[len(data)/2] ^= 1
		return data, proof, nil
	}}, code: api.CodeCorrupt, bad: true},
	{name: "all zeros", twist: twisted{piece: func(_ context.Context, _ *honest, _ int, data, proof []byte) ([]byte, []byte, error) {
		clear(data)
		return data, proof, nil
	}}, code: api.CodeCorrupt, bad: true},
	{name: "wrong proof", twist: twisted{piece: func(_ context.Context, _ *honest, _ int, data, proof []byte) ([]byte, []byte, error) {
		proof[len(proof)-1] ^= 0x80
		return data, proof, nil
	}}, code: api.CodeCorrupt, bad: true},
	{name: "another piece with its right proof", twist: twisted{piece: func(ctx context.Context, h *honest, piece int, data, proof []byte) ([]byte, []byte, error) {
		if piece == 3 {
			return data, proof, nil // the last is of another length
		}
		return h.Piece(ctx, h.m.CID(), 0, (piece+1)%3, data[:mib], proof)
	}}, code: api.CodeCorrupt, bad: true},
	{name: "another piece with the proof of this one", twist: twisted{piece: func(_ context.Context, h *honest, piece int, data, proof []byte) ([]byte, []byte, error) {
		if piece < 3 {
			copy(data, h.data[(piece+1)%3*mib:])
		}
		return data, proof, nil
	}}, code: api.CodeCorrupt, bad: true},
	{name: "proof too short", twist: twisted{piece: func(_ context.Context, _ *honest, _ int, data, proof []byte) ([]byte, []byte, error) {
		return data, proof[:len(proof)-64], nil
	}}, code: api.CodeUnavailable},
	{name: "piece too short", twist: twisted{piece: func(_ context.Context, _ *honest, _ int, data, proof []byte) ([]byte, []byte, error) {
		return data[:len(data)-1], proof, nil
	}}, code: api.CodeUnavailable},
	{name: "piece too long", twist: twisted{piece: func(_ context.Context, h *honest, piece int, data, proof []byte) ([]byte, []byte, error) {
		if piece == 3 {
			data = data[:len(data)+1]
		}
		return data, proof, nil
	}}, code: api.CodeUnavailable},
	{name: "says it has, has not", twist: twisted{piece: func(context.Context, *honest, int, []byte, []byte) ([]byte, []byte, error) {
		return nil, nil, fs.ErrNotExist
	}}, code: api.CodeUnavailable},
	{name: "never answers", twist: twisted{piece: func(ctx context.Context, _ *honest, _ int, _, _ []byte) ([]byte, []byte, error) {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}}, code: api.CodeUnavailable},
	{name: "bitmap of another size", twist: twisted{holdings: func() *manifest.Holdings { return manifest.AllHoldings(40 * manifest.BlockSize) }}, code: api.CodeUnavailable},
	{name: "manifest of another size", twist: twisted{node: func(data []byte) []byte { data[10] ^= 1; return data }}, code: api.CodeCorrupt, bad: true},
	{name: "manifest that is cut", twist: twisted{node: func(data []byte) []byte { return data[:len(data)-1] }}, code: api.CodeCorrupt, bad: true},
	{name: "manifest that is none", twist: twisted{node: func([]byte) []byte { return bytes.Repeat([]byte{0x9f}, 600_000) }}, code: api.CodeCorrupt, bad: true},
	{name: "manifest over its limit", twist: twisted{node: func([]byte) []byte { return make([]byte, manifest.MaxNodeBytes+1) }}, code: api.CodeUnavailable},
}

// Providers that lie are found out, each for what it did, while the node goes
// on with honest ones.
func TestHostileTableOfProviders(t *testing.T) {
	a, b := startNode(t), startNode(t)
	victims := []*testNode{b, startNode(t), startNode(t), startNode(t), startNode(t)} // each fetches few videos at once
	for _, v := range victims {
		a.trusts(t, v)
	}
	victim := func(i int) *testNode { return victims[i%len(victims)] }
	addrs := make([]string, len(lies))
	for i := range lies {
		lies[i].twist.honest = smallVideo(t, byte(i))
		addrs[i] = startLibrary(t, &lies[i].twist)
	}
	path, data := randomFile(t, "beside.mp4", 12*mib, 100)
	beside := a.add(t, path)

	stop := watchHeap(t, 2*mostHeap) // five victims at once, and the liars' own pieces
	var g errgroup.Group
	g.Go(func() error {
		_, err := b.Fetch(t.Context(), api.FetchRequest{Ref: beside.CID, Peers: []string{a.addr(t)}}, nil)
		return err
	})
	fetchAll(func(i int) {
		lie, timeout := lies[i], 3*time.Second
		if lie.code == api.CodeCorrupt {
			timeout = patience // it ends by itself
		}
		_, err := victim(i).Fetch(t.Context(), api.FetchRequest{Ref: lie.twist.m.CID().String(), Peers: addrs[i : i+1], Timeout: timeout}, nil)
		named := err != nil && strings.Contains(err.Error(), addrs[i][len(addrs[i])-20:])
		if api.CodeOf(err) != lie.code || lie.code == api.CodeCorrupt && !named {
			t.Errorf("%s: error %v, want code %d and who it was", lie.name, err, lie.code)
		}
	})
	if err := g.Wait(); err != nil {
		t.Errorf("the transfer beside it: %v", err)
	}
	stop()
	sameFile(t, filepath.Join(b.home, "videos", "beside.mp4"), data)
	for _, v := range victims {
		noOtherVideos(t, v)
	}

	dir := t.TempDir()
	for i, lie := range lies {
		path := filepath.Join(dir, filepath.Base(addrs[i])+".mp4")
		if err := os.WriteFile(path, lie.twist.data, 0o644); err != nil {
			t.Fatal(err)
		}
		a.add(t, path)
	}
	fetchAll(func(i int) {
		lie := lies[i]
		res, err := victim(i).Fetch(t.Context(), api.FetchRequest{Ref: lie.twist.m.CID().String(), Peers: []string{addrs[i], a.addr(t)}, Timeout: patience}, nil)
		if err != nil {
			t.Errorf("%s, with an honest one: %v", lie.name, err)
			return
		}
		sameFile(t, res.Path, lie.twist.data)
	})
	banned := map[string]*api.Ban{}
	for _, v := range victims {
		addBans(t, v, banned)
	}
	checkBlame(t, banned, addrs)
}

// fetchAll meets all liars at once.
func fetchAll(fetch func(i int)) {
	var wg sync.WaitGroup
	for i := range lies {
		wg.Go(func() { fetch(i) })
	}
	wg.Wait()
}

// startLibrary serves everybody a library, and returns its address.
func startLibrary(t *testing.T, lib protocol.Library) string {
	t.Helper()
	h := plainHost(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var g errgroup.Group
	server := protocol.NewServer(h, protocol.ServerConfig{Library: lib, Authorizer: anybody{}})
	g.Go(func() error { return server.Run(ctx) })
	t.Cleanup(func() { cancel(); _ = g.Wait() }) // returns ctx's error
	return h.Addrs()[0].String() + "/p2p/" + h.ID().String()
}

// noOtherVideos wants nothing but one video under a final name.
func noOtherVideos(t *testing.T, n *testNode) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(n.home, "videos"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "beside.mp4" && filepath.Ext(e.Name()) != ".part" {
			t.Errorf("%s bears a final name", e.Name())
		}
	}
}

func addBans(t *testing.T, n *testNode, banned map[string]*api.Ban) {
	t.Helper()
	peers, err := n.Peers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		if p.Banned {
			banned[p.PeerID] = p.Ban
		}
	}
}

// checkBlame wants exactly those banned that sent wrong bytes.
func checkBlame(t *testing.T, banned map[string]*api.Ban, addrs []string) {
	t.Helper()
	for i, lie := range lies {
		id := addrs[i][strings.LastIndex(addrs[i], "/")+1:]
		if ban := banned[id]; (ban != nil) != lie.bad || ban != nil && ban.CID != lie.twist.m.CID().String() {
			t.Errorf("%s: ban %+v, want one: %v", lie.name, ban, lie.bad)
		}
		delete(banned, id)
	}
	if len(banned) != 0 {
		t.Errorf("others are banned: %v", banned)
	}
}

// Names that providers give lead to files in the folder of videos, under names
// that every system takes; what lies there already stays as it is.
func TestHostileTableOfNames(t *testing.T) {
	t.Parallel() // it mostly waits
	outside := filepath.Join(t.TempDir(), "outside.mp4")
	victim := []byte("not to be touched")
	if err := os.WriteFile(outside, victim, 0o644); err != nil {
		t.Fatal(err)
	}
	b := startNode(t)
	videos := filepath.Join(b.home, "videos")
	if err := os.MkdirAll(videos, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"link.mp4", "other.mp4.part"} {
		if err := os.Symlink(outside, filepath.Join(videos, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(videos, "folder")); err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{ // empty: named by the CID
		"../../outside.mp4": "_.._outside.mp4", "/etc/passwd": "_etc_passwd", `..\..\x.mp4`: "_.._x.mp4",
		"..": "", "": "", "com1.mp4": "", "nul": "",
		"a\x1b[2Jb\n.mp4": "a_[2Jb_.mp4", strings.Repeat("a", 5000) + ".mp4": strings.Repeat("a", 200),
		"folder/in.mp4": "folder_in.mp4", "link.mp4": "link (2).mp4", "other.mp4": "other.mp4",
		"Case.mp4": "Case.mp4", "case.mp4": "case.mp4", "CASE.MP4": "CASE.MP4",
	}
	seed := byte(100)
	for name, want := range tests {
		seed++
		w := &twisted{honest: smallVideo(t, seed), name: name}
		addr := startLibrary(t, w)
		t.Run(want, func(t *testing.T) {
			res, err := b.Fetch(t.Context(), api.FetchRequest{Ref: w.m.CID().String(), Peers: []string{addr}, Timeout: patience}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if want == "" {
				want = w.m.CID().String()
			}
			if got := filepath.Base(res.Path); got != want && !(len(name) > 255 && strings.HasPrefix(got, want)) || filepath.Dir(res.Path) != videos {
				t.Errorf("%.40q lies at %s, want %s", name, res.Path, want)
			}
			if info, err := os.Lstat(res.Path); err != nil || !info.Mode().IsRegular() {
				t.Errorf("%.40q: %v, %v", name, info, err)
			}
			sameFile(t, res.Path, w.data)
		})
	}
	sameFile(t, outside, victim)
	if entries, err := os.ReadDir(filepath.Dir(outside)); err != nil || len(entries) != 1 {
		t.Errorf("outside are %v, %v", entries, err)
	}
}
