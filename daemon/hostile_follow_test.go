package daemon_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

// trustsAll lets everybody see a catalogue.
type trustsAll struct{}

func (trustsAll) AuthorizePeer(peer.ID) error { return nil }

// videoNumber is a video that nobody has.
func videoNumber(n uint64) cid.Cid {
	var d manifest.Digest
	binary.BigEndian.PutUint64(d[:], n)
	d[31] = 0xee
	m, err := manifest.New(1, []manifest.Digest{d})
	if err != nil {
		panic(err)
	}
	return m.CID()
}

// feedOf is a catalogue of entries that are made up as they are asked for: entry n
// is made of n, until it is the last one.
type feedOf struct {
	last  uint64
	entry func(n uint64) protocol.Entry
	told  atomic.Uint64 // the last that was asked for
}

func (f *feedOf) Log() [16]byte { return [16]byte{7} }

func (f *feedOf) Entries(_ context.Context, after uint64, limit int) (entries []protocol.Entry, _ <-chan struct{}, _ error) {
	for n := after + 1; n <= f.last && len(entries) < limit; n++ {
		e := f.entry(n)
		e.Seq = n
		entries = append(entries, e)
		f.told.Store(n)
	}
	return entries, nil, nil
}

// many is a library of several videos.
type many []*honest

func (m many) of(video cid.Cid) (*honest, error) {
	for _, h := range m {
		if h.m.CID() == video {
			return h, nil
		}
	}
	return nil, fs.ErrNotExist
}

func (m many) ManifestNode(ctx context.Context, video cid.Cid, path []int) ([]byte, error) {
	h, err := m.of(video)
	if err != nil {
		return nil, err
	}
	return h.ManifestNode(ctx, video, path)
}

func (m many) Holdings(video cid.Cid) (*manifest.Holdings, <-chan struct{}, error) {
	h, err := m.of(video)
	if err != nil {
		return nil, nil, err
	}
	return h.Holdings(video)
}

func (m many) Piece(ctx context.Context, video cid.Cid, block, piece int, buf, proof []byte) ([]byte, []byte, error) {
	h, err := m.of(video)
	if err != nil {
		return nil, nil, err
	}
	return h.Piece(ctx, video, block, piece, buf, proof)
}

// evilPeer serves what it is told to.
func evilPeer(t *testing.T, cfg protocol.ServerConfig) host.Host {
	t.Helper()
	h := plainHost(t)
	if cfg.Library == nil {
		cfg.Library = many{}
	}
	cfg.Authorizer, cfg.Peers = anybody{}, trustsAll{}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var g errgroup.Group
	server := protocol.NewServer(h, cfg)
	g.Go(func() error { return server.Run(ctx) })
	t.Cleanup(func() { cancel(); _ = g.Wait() }) // returns ctx's error
	return h
}

// trustsHost makes n trust a host that is no node, and call it that.
func (n *testNode) trustsHost(t *testing.T, h host.Host, name string) {
	t.Helper()
	addr := h.Addrs()[0].String() + "/p2p/" + h.ID().String()
	if _, err := n.AddPeer(t.Context(), api.AddPeerRequest{Addr: addr, Name: name}); err != nil {
		t.Fatal(err)
	}
}

// Followed peers that are hostile cost little, and the follow beside them goes on.
func TestHostileTableOfFollowedPeers(t *testing.T) {
	old := time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name string
		feed *feedOf
		told uint64 // entries that are taken at least
		live bool   // a recording has to come through beside it
	}{
		{"endless catalogue", &feedOf{last: 1 << 62, entry: func(n uint64) protocol.Entry {
			return protocol.Entry{Video: videoNumber(n), Name: fmt.Sprintf("%d.mp4", n), Added: old, Size: 5}
		}}, 4_000, false},
		{"endless recordings", &feedOf{last: 1 << 62, entry: func(n uint64) protocol.Entry {
			return protocol.Entry{Video: videoNumber(n), Name: "live.mp4", Recording: fmt.Sprint(n), State: "live", Added: old, Size: 5}
		}}, 4_000, true},
		{"one recording with endless versions", &feedOf{last: 1 << 62, entry: func(n uint64) protocol.Entry {
			return protocol.Entry{Video: videoNumber(n), Name: "live.mp4", Recording: "one", State: "live", Added: old, Size: int64(n % 1000)}
		}}, 4_000, false},
		{"recordings that end before they begin", &feedOf{last: 1 << 62, entry: func(n uint64) protocol.Entry {
			return protocol.Entry{Video: videoNumber(n), Name: "live.mp4", Recording: fmt.Sprint(n), State: "ended", Added: old}
		}}, 4_000, false},
		{"removals of what never was", &feedOf{last: 1 << 62, entry: func(n uint64) protocol.Entry {
			return protocol.Entry{Video: videoNumber(n), Removed: true, Recording: fmt.Sprint(n)}
		}}, 4_000, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := startNode(t, serving)
			edge := edgeOf(t, server, "edge")
			stop := watchHeap(t, 2*mostHeap) // of two nodes
			defer stop()
			evil := evilPeer(t, protocol.ServerConfig{Catalogue: test.feed})
			server.trustsHost(t, evil, "evil")
			server.follow(t, api.FollowRequest{Peer: "evil"})
			eventually(t, "thousands of entries", func() bool { return test.feed.told.Load() > test.told/2 })

			path, data := randomFile(t, "talk.mp4", 3*mib, 40)
			edge.add(t, path)
			server.follow(t, api.FollowRequest{Peer: "edge"})
			to := filepath.Join(server.home, "videos", "edge", "talk.mp4")
			eventually(t, "the video of the honest peer", server.arrived(to))
			sameFile(t, to, data)
			if test.live {
				growsBeside(t, edge, server)
			}
			eventually(t, "more entries", func() bool { return test.feed.told.Load() > test.told })
			if _, err := server.Unfollow(t.Context(), "evil"); err != nil {
				t.Error(err)
			}
		})
	}
}

// growsBeside wants a file that is written at the edge to arrive at the server.
func growsBeside(t *testing.T, edge, server *testNode) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "stage.mp4"), make([]byte, mib), 0o644); err != nil {
		t.Fatal(err)
	}
	edge.watch(t, dir)
	eventually(t, "what was recorded beside it", server.arrived(filepath.Join(server.home, "videos", "edge", "stage.mp4")))
}

// Names, paths and sizes in a catalogue are a stranger's word: files arrive below
// the folder of the follow, under names that do no harm, in the size that they have.
func TestHostileNamesOfFollowedPeers(t *testing.T) {
	t.Parallel()
	server := startNode(t, serving)
	names := []protocol.Entry{
		{Name: "../../../up.mp4"}, {Name: "/etc/passwd"}, {Name: "a\x1b[2J\x07b.mp4", Size: 1 << 46},
		{Name: "x.mp4", RelPath: "con/nul/com1"}, {Name: "x.mp4", RelPath: "a\x1b]0;title\x07/\u202egpj.mp4", Size: 1},
		{Name: strings.Repeat("n", 255), RelPath: strings.Repeat("d/", 1000) + "deep.mp4"},
		{Name: "x.mp4", RelPath: ".hidden/.ssh/authorized_keys"}, {Name: "x.mp4", RelPath: "same.mp4"},
		{Name: "x.mp4", RelPath: "SAME.mp4"}, {Name: "x.mp4", RelPath: "same.mp4/below.mp4"}, {Name: "", MediaType: "text/html\x1b[0m"},
		{Name: "x.mp4", RelPath: "out/in.mp4", Recording: "\x1b[31m"},
	}
	var videos many
	for i := range names {
		videos = append(videos, smallVideo(t, byte(200+i)))
	}
	feed := &feedOf{last: uint64(len(names)), entry: func(n uint64) protocol.Entry {
		e := names[n-1]
		e.Video = videos[n-1].m.CID()
		return e
	}}
	server.trustsHost(t, evilPeer(t, protocol.ServerConfig{Catalogue: feed, Library: videos}), "\u202eevil")
	outside := t.TempDir()
	into := filepath.Join(t.TempDir(), "into")
	if err := os.MkdirAll(into, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(into, "out")); err != nil {
		t.Fatal(err)
	}
	peers, err := server.Peers(t.Context())
	if err != nil || len(peers) != 1 {
		t.Fatalf("peers %+v, %v", peers, err)
	}
	server.follow(t, api.FollowRequest{Peer: peers[0].PeerID, Into: into})
	arrived := map[string]bool{}
	var missing []protocol.Entry
	defer func() {
		if len(missing) > 0 {
			t.Errorf("missing are %+v", missing)
		}
	}()
	eventually(t, "all videos", func() bool {
		listed, err := api.Collect(server.Videos(context.Background()))
		for _, v := range listed {
			if err == nil && v.State == "whole" {
				arrived[v.Path] = true
			}
		}
		missing = missing[:0]
		for i, v := range videos {
			if !slices.ContainsFunc(listed, func(l api.Video) bool { return l.CID == v.m.CID().String() && l.State == "whole" }) {
				missing = append(missing, names[i])
			}
		}
		return len(missing) == 0
	})
	for path := range arrived {
		rel, err := filepath.Rel(into, path)
		if err != nil || !filepath.IsLocal(rel) || strings.ContainsFunc(rel, func(r rune) bool { return unicode.In(r, unicode.C) }) || strings.Contains(rel, "/.") {
			t.Errorf("%q lies in a bad place", rel)
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil || real != path {
			t.Errorf("%q is really %q, %v", path, real, err)
		}
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 0 {
		t.Errorf("outside are %v, %v", left, err)
	}
}

// catalogueMessage is one message of a catalogue stream, of the fields given.
func catalogueMessage(fields ...[]byte) []byte {
	var msg []byte
	for _, f := range fields {
		msg = append(msg, f...)
	}
	return append(protowire.AppendVarint(nil, uint64(len(msg))), msg...)
}

func numberField(field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), v)
}

func bytesField(field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), v)
}

func entryOf(seq uint64, more ...[]byte) []byte {
	e := append(numberField(1, seq), bytesField(2, videoNumber(seq).Bytes())...)
	for _, m := range more {
		e = append(e, m...)
	}
	return bytesField(1, e)
}

// Catalogues that break the rules end their stream each time, and what they said
// is not followed.
func TestBrokenCataloguesOfFollowedPeers(t *testing.T) {
	t.Parallel()
	following := func(from uint64) []byte {
		log := [16]byte{1}
		return catalogueMessage(numberField(1, 1), bytesField(2, log[:]), numberField(3, from))
	}
	for name, answer := range map[string]func() []byte{
		"numbers that go back": func() []byte {
			return append(following(0), catalogueMessage(entryOf(5), entryOf(4))...)
		},
		"the same number twice": func() []byte {
			return append(following(0), catalogueMessage(entryOf(5), entryOf(5))...)
		},
		"begins elsewhere": func() []byte { return following(1 << 40) },
		"path that leads up": func() []byte {
			return append(following(0), catalogueMessage(entryOf(1, bytesField(6, []byte("../x.mp4"))))...)
		},
		"size beyond all": func() []byte {
			return append(following(0), catalogueMessage(entryOf(1, numberField(9, 1<<63)))...)
		},
		"recording too long": func() []byte {
			return append(following(0), catalogueMessage(entryOf(1, bytesField(4, make([]byte, 65))))...)
		},
		"batch of 1 GiB": func() []byte { return append(following(0), protowire.AppendVarint(nil, 1<<30)...) },
		"log of 1 MiB": func() []byte {
			return catalogueMessage(numberField(1, 1), bytesField(2, make([]byte, mib)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			evil := plainHost(t)
			var pulls atomic.Int32
			evil.SetStreamHandler(protocol.CatalogueID, func(s network.Stream) {
				defer s.Reset()
				if err := protodelim.UnmarshalFrom(bufio.NewReader(s), &emptypb.Empty{}); err != nil {
					return
				}
				pulls.Add(1)
				_, _ = s.Write(answer())
				_, _ = s.Read(make([]byte, 1)) // until the follower ends it
			})
			server := startNode(t, serving)
			server.trustsHost(t, evil, "evil")
			server.follow(t, api.FollowRequest{Peer: "evil"})
			eventually(t, "the trouble to be told", func() bool {
				follows, err := server.Follows(t.Context())
				return err == nil && strings.Contains(follows[0].Message, "broke the protocol")
			})
			eventually(t, "another pull", func() bool { return pulls.Load() > 1 })
			follows, err := server.Follows(t.Context())
			if err != nil || follows[0].Seq != 0 || follows[0].Waiting != 0 {
				t.Errorf("it is followed: %+v, %v", follows, err)
			}
		})
	}
}

// A log that is another one at every pull begins the catalogue anew each time;
// what it leads to is kept once.
func TestCatalogueWithANewLogAtEveryPull(t *testing.T) {
	t.Parallel()
	evil := plainHost(t)
	var pulls atomic.Int32
	evil.SetStreamHandler(protocol.CatalogueID, func(s network.Stream) {
		defer s.Reset()
		if err := protodelim.UnmarshalFrom(bufio.NewReader(s), &emptypb.Empty{}); err != nil {
			return
		}
		log := [16]byte{byte(pulls.Add(1))}
		_, _ = s.Write(catalogueMessage(numberField(1, 1), bytesField(2, log[:])))
		_, _ = s.Write(catalogueMessage(entryOf(1), entryOf(2), entryOf(3)))
		_ = s.CloseWrite()
		_, _ = s.Read(make([]byte, 1))
	})
	server := startNode(t, serving)
	server.trustsHost(t, evil, "evil")
	server.follow(t, api.FollowRequest{Peer: "evil"})
	eventually(t, "three pulls", func() bool { return pulls.Load() >= 3 })
	eventually(t, "three videos to wait", func() bool { // for a moment both as entries and as jobs
		follows, err := server.Follows(t.Context())
		return err == nil && follows[0].Waiting == 3
	})
}
