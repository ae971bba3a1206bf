package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
	"github.com/vidsync/vidsync/protocol"
)

func TestSafeRelPath(t *testing.T) {
	long := strings.Repeat("a", 300)
	for in, want := range map[string]string{
		"day 1/talk.mp4":                      "day 1/talk.mp4",
		"../../etc/passwd":                    "_/_/etc/passwd",
		"a/./b.mp4":                           "a/_/b.mp4",
		"/abs.mp4":                            "_/abs.mp4",
		"a\\b/c:d.mp4":                        "a_b/c_d.mp4",
		"con/nul.txt/x.mp4":                   "_/_/x.mp4",
		".ssh/.rc":                            "ssh/rc",
		"a\x1b[2J/\u202egpj.mp4":              "a_[2J/_gpj.mp4",
		"dots.../trailing. ":                  "dots/trailing",
		"..":                                  "",
		"x/nul":                               "",
		"":                                    "",
		"\xff/\x00.mp4":                       "_/_.mp4",
		long + "/x.mp4":                       strings.Repeat("a", maxFileName) + "/x.mp4",
		strings.Repeat("d/", 40) + "deep.mp4": "deep.mp4",
		strings.Repeat(long[:180]+"/", 20) + "wide.mp4": "wide.mp4",
	} {
		got := safeRelPath(in)
		if got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
		if got != "" && safeRelPath(got) != got {
			t.Errorf("%q became %q the second time", got, safeRelPath(got))
		}
	}
}

func FuzzFollowTarget(f *testing.F) {
	for _, seed := range []string{"day 1/talk.mp4", "../../x", "out/x.mp4", "file/x.mp4", "", "..", "a/../../b"} {
		f.Add(seed)
	}
	dir := f.TempDir()
	inside := followedFolder(f, dir)
	video := testVideo(f, 1).CID()
	f.Fuzz(func(t *testing.T, rel string) {
		e := followedEntry{Dir: inside, RelPath: rel}
		target, err := e.target("talk.mp4", video)
		if err != nil {
			t.Skip() // no vacant name
		}
		if target.Dir != inside && !strings.HasPrefix(target.Dir, inside+"/") || strings.ContainsAny(target.Name, "/\\\x00") || target.Name == "" || target.Name == ".." {
			t.Errorf("%q leads to %+v", rel, target)
		}
		real, err := filepath.EvalSymlinks(target.Dir)
		if err == nil && real != inside && !strings.HasPrefix(real, inside+"/") {
			t.Errorf("%q leads to %s, out of %s", rel, real, inside)
		}
	})
}

// followedFolder is a folder below dir in which "out" is a link that leads out,
// "in" one that does not, "gone" one that leads nowhere, and "file" a file.
func followedFolder(t testing.TB, dir string) string {
	t.Helper()
	inside, outside := filepath.Join(dir, "in side"), filepath.Join(dir, "outside")
	err := errors.Join(os.MkdirAll(filepath.Join(inside, "real"), 0o755), os.MkdirAll(outside, 0o755),
		os.Symlink(outside, filepath.Join(inside, "out")), os.Symlink("real", filepath.Join(inside, "in")),
		os.Symlink("nowhere", filepath.Join(inside, "gone")),
		os.WriteFile(filepath.Join(inside, "file"), nil, 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return inside
}

func TestFollowTargetStaysInside(t *testing.T) {
	inside := followedFolder(t, t.TempDir())
	for rel, want := range map[string]string{
		"x.mp4":           "",
		"real/x.mp4":      "real",
		"new/folder/x":    "new/folder",
		"in/x.mp4":        "in",
		"out/x.mp4":       "out (2)",
		"out/deep/x.mp4":  "out (2)/deep",
		"gone/x.mp4":      "gone (2)",
		"file/x.mp4":      "file (2)",
		"real/../../x.mp": "real/_/_",
	} {
		e := followedEntry{Dir: inside, RelPath: rel}
		target, err := e.target("x", testVideo(t, 1).CID())
		if err != nil || target.Dir != filepath.Join(inside, want) || target.Exact {
			t.Errorf("%q goes to %+v, %v; want %q", rel, target, err, want)
		}
	}
	missing := followedEntry{Dir: filepath.Join(inside, "later"), RelPath: "a/x.mp4"}
	if target, err := missing.target("x", testVideo(t, 1).CID()); err != nil || target.Dir != filepath.Join(missing.Dir, "a") {
		t.Errorf("in a folder that is not there: %+v, %v", target, err)
	}
}

func TestFollowGlobs(t *testing.T) {
	for _, tt := range []struct {
		globs string
		entry protocol.Entry
		want  bool
	}{
		{"", protocol.Entry{RelPath: "a/b.txt"}, true},
		{"*.mp4", protocol.Entry{RelPath: "day 1/TALK.MP4"}, true},
		{"*.MP4", protocol.Entry{Name: "talk.mp4"}, true},
		{"*.mp4", protocol.Entry{RelPath: "a/b.mov"}, false},
		{"*.mov *.mp4", protocol.Entry{RelPath: "a/b.mov"}, true},
		{"day*/*.mp4", protocol.Entry{RelPath: "day1/b.mp4"}, true},
		{"day*/*.mp4", protocol.Entry{RelPath: "b.mp4"}, false},
		{"", protocol.Entry{RelPath: "a.mp4", State: "live"}, false},
		{"", protocol.Entry{RelPath: "a.mp4", State: videoWhole}, true},
		{"", protocol.Entry{Removed: true}, false},
	} {
		r := followRecord{Globs: strings.Fields(tt.globs)}
		if got := r.wants(tt.entry); got != tt.want {
			t.Errorf("%q wants %+v: %v", tt.globs, tt.entry, got)
		}
	}
}

func numberedVideo(t testing.TB, n int) cid.Cid {
	t.Helper()
	m, err := manifest.New(1, []manifest.Digest{{byte(n), byte(n >> 8), 1}})
	if err != nil {
		t.Fatal(err)
	}
	return m.CID()
}

// followed makes n follow a new peer, and offers it count videos, the oldest
// last.
func followed(t *testing.T, n *Node, count int, newest bool) *follower {
	t.Helper()
	_, id := testKey(t)
	if _, err := n.trust.add(peer.AddrInfo{ID: id}, ""); err != nil {
		t.Fatal(err)
	}
	r, err := n.follows.put(id, followRecord{Dir: t.TempDir(), NewestFirst: newest})
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{node: n, peer: id, made: r.Made}
	for first := 0; first < count; first += protocol.MaxBatchEntries {
		var entries []protocol.Entry
		for i := first; i < min(count, first+protocol.MaxBatchEntries); i++ {
			entries = append(entries, protocol.Entry{
				Seq: uint64(i + 1), Video: numberedVideo(t, i), Name: fmt.Sprintf("%d.mp4", i), Size: 1, Added: time.Unix(int64(count-i), 0),
			})
		}
		if err := f.take(entries, protocol.Cursor{Log: [16]byte{1}, Seq: entries[len(entries)-1].Seq}); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// A long catalogue waits in the index, not in memory, and its fetches go in the
// order that was asked for, after those of people.
func TestFollowQueueIsBounded(t *testing.T) {
	for name, newest := range map[string]bool{"oldest first": false, "newest first": true} {
		t.Run(name, func(t *testing.T) {
			n := testNode(t)
			const count = maxFollowQueued + 700
			f := followed(t, n, count, newest)
			net := testNetwork(t)
			for range 2 {
				if err := n.feed(t.Context(), net, f.peer); err != nil {
					t.Fatal(err)
				}
			}
			if all, due := n.jobs.followTasks(f.peer.String()); all != maxFollowQueued || due != maxFollowQueued {
				t.Errorf("%d jobs are queued, %d due; want %d", all, due, maxFollowQueued)
			}
			if l, err := n.listedFollow(f.peer, followRecord{}); err != nil || l.Waiting != count {
				t.Errorf("%d videos wait, %v; want %d", l.Waiting, err, count)
			}
			want := count - 1 // was added first
			if newest {
				want = 0
			}
			n.jobs.mu.Lock()
			first, _ := n.jobs.first(kindFetch)
			n.jobs.mu.Unlock()
			if first.job.Video != numberedVideo(t, want) {
				t.Errorf("the first to go is %s", first.job.Spec)
			}
			asked, _, err := n.jobs.submit(testJob(t, 200))
			if err != nil {
				t.Fatal(err)
			}
			n.jobs.mu.Lock()
			first, _ = n.jobs.first(kindFetch)
			n.jobs.mu.Unlock()
			if first != asked {
				t.Error("what a person asked for does not go first")
			}
			r, err := n.follows.get(f.peer)
			if err != nil || r.cursor() != (protocol.Cursor{Log: [16]byte{1}, Seq: count}) {
				t.Errorf("cursor %+v, %v", r.cursor(), err)
			}
			if _, err := n.Unfollow(t.Context(), f.peer.String()); err != nil {
				t.Fatal(err)
			}
			if all, _ := n.jobs.followTasks(f.peer.String()); all != 0 {
				t.Errorf("%d jobs are left", all)
			}
			for s := range n.store.States(stateEntry, "") {
				t.Fatalf("entry %q is left", s.Key)
			}
			if err := f.take(nil, protocol.Cursor{}); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a catalogue that is not followed any more: %v", err)
			}
		})
	}
}

// A log that begins anew fetches nothing twice.
func TestFollowStartsOver(t *testing.T) {
	n := testNode(t)
	f := followed(t, n, 3, false)
	net := testNetwork(t)
	here := blockstore.Video{CID: numberedVideo(t, 1), Name: "1.mp4", Size: 1, State: videoWhole}
	if err := n.store.PutVideo(here); err != nil {
		t.Fatal(err)
	}
	if err := n.feed(t.Context(), net, f.peer); err != nil {
		t.Fatal(err)
	}
	again := []protocol.Entry{{Seq: 1, Video: numberedVideo(t, 0), Name: "0.mp4"}, {Seq: 2, Video: here.CID, Name: "1.mp4"}}
	if err := errors.Join(f.take(nil, protocol.Cursor{Log: [16]byte{2}}), f.take(again, protocol.Cursor{Log: [16]byte{2}, Seq: 2}), n.feed(t.Context(), net, f.peer)); err != nil {
		t.Fatal(err)
	}
	if all, _ := n.jobs.followTasks(f.peer.String()); all != 2 {
		t.Errorf("%d fetches, want those of the two that are not here", all)
	}
	if _, err := n.store.State(stateAttest, here.CID.String()); err != nil {
		t.Errorf("the one that is here is not to be attested: %v", err)
	}
	for s := range n.store.States(stateEntry, "") {
		t.Errorf("entry %q is left", s.Key)
	}
}

func TestTakeReceipt(t *testing.T) {
	n := testNode(t)
	m := testVideo(t, 1)
	if err := n.store.PutVideo(blockstore.Video{CID: m.CID(), Name: "a.mp4", Size: m.Size(), State: videoWhole}); err != nil {
		t.Fatal(err)
	}
	key, holder := testKey(t)
	_, other := testKey(t)
	sign := func(video *manifest.Manifest, size int64, at time.Time) protocol.SignedReceipt {
		r, err := protocol.SignReceipt(key, video.CID(), size, at)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	now := time.Now()
	good := sign(m, m.Size(), now)
	forged := good
	forged.Signature = bytes.Clone(good.Signature)
	forged.Signature[3] ^= 1
	for _, tt := range []struct {
		what    string
		from    peer.ID
		receipt protocol.SignedReceipt
		want    error
	}{
		{"another signature", holder, forged, protocol.ErrReceipt},
		{"sent by somebody else", other, good, protocol.ErrReceipt},
		{"of another size", holder, sign(m, m.Size()+1, now), fs.ErrNotExist},
		{"of a video that is not here", holder, sign(testVideo(t, 2), m.Size(), now), fs.ErrNotExist},
	} {
		if err := n.TakeNotice(tt.from, protocol.Notice{Receipt: &tt.receipt}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.what, err, tt.want)
		}
	}
	for range n.store.States(stateReceipt, "") {
		t.Fatal("a receipt that was refused is stored")
	}
	older := sign(m, m.Size(), now.Add(-time.Hour))
	for _, r := range []protocol.SignedReceipt{good, older, good} {
		if err := n.TakeNotice(holder, protocol.Notice{Receipt: &r}); err != nil {
			t.Fatal(err)
		}
	}
	video, err := n.store.Video(m.CID())
	if err != nil {
		t.Fatal(err)
	}
	if safe, err := n.safeHolders(video); err != nil || len(safe) != 0 {
		t.Errorf("a stranger counts: %v, %v", safe, err)
	}
	if _, err := n.trust.add(peer.AddrInfo{ID: holder}, "server"); err != nil {
		t.Fatal(err)
	}
	if safe, err := n.safeHolders(video); err != nil || len(safe) != 1 || safe[0] != holder {
		t.Errorf("holders %v, %v", safe, err)
	}
	got, err := n.Receipts(t.Context(), "a.mp4")
	if err != nil || len(got.Receipts) != 1 || got.Receipts[0].Name != "server" || !got.Receipts[0].At.Equal(good.At) {
		t.Errorf("receipts %+v, %v", got, err)
	}
	// What the disk made of a receipt since does not count either.
	if err := n.store.PutState(stateReceipt, receiptKey(m.CID(), holder), must(forged.MarshalBinary())); err != nil {
		t.Fatal(err)
	}
	if safe, err := n.safeHolders(video); err != nil || len(safe) != 0 {
		t.Errorf("a forged receipt counts: %v, %v", safe, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestFollowFetchNeverEnds(t *testing.T) {
	for _, err := range []error{errors.New("broken"), api.Errorf(api.CodeRefused, "no"), &waitError{err: errors.New("later")}} {
		if _, ok := errors.AsType[*waitError](retried(err)); !ok {
			t.Errorf("%v ends it", err)
		}
	}
	if err := retried(nil); err != nil {
		t.Errorf("success became %v", err)
	}
}
