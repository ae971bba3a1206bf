package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/daemon"
)

// leaving is an edge with one watched recording, and two servers of which the
// first has sent its receipt.
type leaving struct {
	edge, one, two *testNode
	log            *logText
	dir, path, cid string
	data           []byte
}

func newLeaving(t *testing.T) *leaving {
	t.Helper()
	l := &leaving{one: startNode(t, serving), two: startNode(t, serving), log: &logText{}, dir: t.TempDir()}
	l.edge = edgeOf(t, l.one, "edge", nodeWithAPI(l.log))
	if _, err := l.two.AddPeer(t.Context(), api.AddPeerRequest{Addr: peerID(t, l.edge), Name: "edge"}); err != nil {
		t.Fatal(err)
	}
	for name, server := range map[string]*testNode{"one": l.one, "two": l.two} {
		if _, err := l.edge.AddPeer(t.Context(), api.AddPeerRequest{Addr: server.addr(t), Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	l.path = filepath.Join(l.dir, "talk.mp4")
	l.data = recording(t, l.dir, "talk.mp4", 3*mib, 77)
	l.edge.watch(t, l.dir)
	l.cid = l.edge.has(t, l.path)
	l.one.follow(t, api.FollowRequest{Peer: "edge"})
	eventually(t, "a receipt", func() bool { return holders(t, l.edge, l.cid) == 1 })
	return l
}

// removeAfter asks for the removal, and waits until all was looked at.
func (l *leaving) removeAfter(t *testing.T, n int, names ...string) {
	t.Helper()
	if _, err := l.edge.AddWatch(t.Context(), api.AddWatchRequest{Dir: l.dir, RemoveAfter: &n, RemoveHolders: names}); err != nil {
		t.Fatal(err)
	}
	if err := daemon.LookForRemovals(t.Context(), l.edge.Node); err != nil {
		t.Fatal(err)
	}
}

func (l *leaving) video(t *testing.T) api.Video {
	t.Helper()
	videos, err := api.Collect(l.edge.Videos(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range videos {
		if v.CID == l.cid {
			return v
		}
	}
	t.Fatalf("the catalogue has no %s", l.cid)
	return api.Video{}
}

// stays makes sure that the file is where it was, and its video whole.
func (l *leaving) stays(t *testing.T) {
	t.Helper()
	sameFile(t, l.path, l.data)
	if v := l.video(t); v.State != "whole" {
		t.Errorf("the video is %s", v.State)
	}
	if w := l.edge.watched(t, l.dir); w.Removed != 0 {
		t.Errorf("%d files are said to be removed", w.Removed)
	}
	l.nothingAside(t)
}

func (l *leaving) nothingAside(t *testing.T) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(l.dir, ".*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// isGone makes sure that the file was removed, that everybody is told so, and
// that the server has all of it.
func (l *leaving) isGone(t *testing.T) {
	t.Helper()
	eventually(t, "the file to be removed", func() bool {
		if err := daemon.LookForRemovals(t.Context(), l.edge.Node); err != nil {
			t.Fatal(err)
		}
		_, err := os.Lstat(l.path)
		return os.IsNotExist(err)
	})
	v := l.video(t)
	if v.State != "removed" || v.Removed == nil || v.Removed.Path != l.path || len(v.Removed.Holders) == 0 || v.Have != 0 {
		t.Errorf("the video is %+v, %+v", v, v.Removed)
	}
	w := l.edge.watched(t, l.dir)
	if w.Removed != 1 || w.LastRemoved == nil || w.LastRemoved.CID != l.cid || len(w.Failed) != 0 {
		t.Errorf("the folder is listed as %+v", w)
	}
	r, err := l.edge.Receipts(t.Context(), l.cid)
	if err != nil || r.Removed == nil {
		t.Errorf("receipts %+v, %v", r, err)
	}
	if n := l.log.count(`msg="file was removed, as others hold it" cid=` + l.cid + " path=" + l.path + " bytes=3145728 holders="); n != 1 {
		t.Errorf("logged %d times:\n%s", n, l.log.text.String())
	}
	sameFile(t, filepath.Join(l.one.home, "videos", "edge", "talk.mp4"), l.data)
	l.nothingAside(t)
}

func TestRemoveAfter(t *testing.T) {
	stays, gone := (*leaving).stays, (*leaving).isGone
	tests := map[string]struct {
		do   func(t *testing.T, l *leaving)
		then func(*leaving, *testing.T)
	}{
		"not asked for": {func(t *testing.T, l *leaving) { l.removeAfter(t, 0) }, stays},
		"enough":        {func(t *testing.T, l *leaving) { l.removeAfter(t, 1) }, gone},
		"too few":       {func(t *testing.T, l *leaving) { l.removeAfter(t, 2) }, stays},
		"one peer twice": {func(t *testing.T, l *leaving) {
			for i := range 3 {
				if err := daemon.Receive(l.edge.Node, l.one.Node, l.video(t), time.Now().Add(time.Duration(i)*time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			l.removeAfter(t, 2)
		}, stays},
		"signed without holding": {func(t *testing.T, l *leaving) {
			if err := daemon.Receive(l.edge.Node, l.two.Node, l.video(t), time.Now()); err != nil {
				t.Fatal(err)
			}
			l.removeAfter(t, 2)
		}, stays},
		"not trusted any more": {func(t *testing.T, l *leaving) {
			if _, err := l.edge.RemovePeer(t.Context(), "one"); err != nil {
				t.Fatal(err)
			}
			l.removeAfter(t, 1)
		}, stays},
		"banned": {func(t *testing.T, l *leaving) {
			if err := daemon.Ban(l.edge.Node, l.one.Node); err != nil {
				t.Fatal(err)
			}
			l.removeAfter(t, 1)
		}, stays},
		"holder has removed it": {func(t *testing.T, l *leaving) {
			if _, err := l.one.Remove(t.Context(), api.RemoveRequest{Ref: l.cid, Files: true}); err != nil {
				t.Fatal(err)
			}
			l.removeAfter(t, 1)
			if w := l.edge.watched(t, l.dir); len(w.Failed) != 1 || !strings.Contains(w.Failed[0].Error, "does not say so now") {
				t.Errorf("listed as %+v", w.Failed)
			}
		}, stays},
		"holder is away": {func(t *testing.T, l *leaving) {
			l.one.stop()
			l.removeAfter(t, 1)
		}, stays},
		"holder's copy has changed": {func(t *testing.T, l *leaving) {
			writeFile(t, filepath.Join(l.one.home, "videos", "edge", "talk.mp4"), "edited there")
			l.removeAfter(t, 1)
		}, stays},
		"others are named": {func(t *testing.T, l *leaving) { l.removeAfter(t, 1, "two") }, stays},
		"it is named":      {func(t *testing.T, l *leaving) { l.removeAfter(t, 1, "two", "one") }, gone},
		"open for writing": {func(t *testing.T, l *leaving) {
			f, err := os.OpenFile(l.path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			l.removeAfter(t, 1)
			l.stays(t)
			if w := l.edge.watched(t, l.dir); len(w.Failed) != 1 || !strings.Contains(w.Failed[0].Error, "open for writing") {
				t.Errorf("listed as %+v", w.Failed)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			l.removeAfter(t, 1)
		}, gone},
		"renamed": {func(t *testing.T, l *leaving) {
			to := filepath.Join(l.dir, "renamed.mp4")
			rename(t, l.path, to)
			l.path = to
			l.edge.has(t, to)
			l.removeAfter(t, 1)
		}, gone},
		"hard link": {func(t *testing.T, l *leaving) {
			other := filepath.Join(t.TempDir(), "other name.mp4")
			if err := os.Link(l.path, other); err != nil {
				t.Fatal(err)
			}
			again := api.AddWatchRequest{Dir: l.dir, Settle: 2 * soon} // has it looked through at once
			if _, err := l.edge.AddWatch(t.Context(), again); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the change time to be dealt with", func() bool { return l.log.count("is the same video still") == 1 })
			l.removeAfter(t, 1)
			sameFile(t, other, l.data)
		}, gone},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLeaving(t)
			test.do(t, l)
			test.then(l, t)
		})
	}
}

// What is at the path when the receipts are there is not what they speak of.
func TestRemoveAfterChanges(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"edited": func(path string) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("other words"), 100)
			return errors.Join(err, f.Close())
		},
		"truncated": func(path string) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			return errors.Join(f.Truncate(1000), f.Close())
		},
		"replaced": func(path string) error {
			if err := os.WriteFile(path+".new", make([]byte, 3*mib), 0o644); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLeaving(t)
			if _, err := l.one.Unfollow(t.Context(), "edge"); err != nil { // it never gets what comes
				t.Fatal(err)
			}
			if err := change(l.path); err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(l.path)
			if err != nil {
				t.Fatal(err)
			}
			l.removeAfter(t, 1) // before the watch has seen the change, or after
			sameFile(t, l.path, want)
			l.edge.has(t, l.path)
			l.removeAfter(t, 1)
			sameFile(t, l.path, want)
			l.nothingAside(t)
		})
	}
}

// Only what was added because the folder is watched is removed, and only once.
func TestRemoveAfterLeavesTheRest(t *testing.T) {
	t.Parallel()
	l := newLeaving(t)
	byHand := filepath.Join(l.dir, "sub", "by hand.bin") // no name that the watch wants
	data := recording(t, l.dir, "sub/by hand.bin", mib, 5)
	added := l.edge.add(t, byHand)
	sidecar := writeFile(t, filepath.Join(l.dir, "talk.en.srt"), "words")
	eventually(t, "its receipt", func() bool { return holders(t, l.edge, added.CID) == 1 })
	l.removeAfter(t, 1)
	l.isGone(t)
	sameFile(t, byHand, data)
	sameFile(t, sidecar, []byte("words"))

	_, err := l.edge.Verify(t.Context(), api.VerifyRequest{Refs: []string{l.cid}}, nil)
	if err != nil {
		t.Error(err)
	}
	back, err := l.edge.Fetch(t.Context(), api.FetchRequest{Ref: l.cid, Output: l.path}, nil)
	if err != nil || back.Path != l.path {
		t.Fatalf("fetched back: %+v, %v", back, err)
	}
	l.removeAfter(t, 1)
	sameFile(t, l.path, l.data)
	if v := l.video(t); v.State != "whole" || v.Removed != nil {
		t.Errorf("fetched back it is %+v", v)
	}
	copied := filepath.Join(l.dir, "copied back.mp4")
	writeFile(t, copied, string(l.data))
	l.edge.idle(t, l.dir, 2)
	l.removeAfter(t, 1)
	sameFile(t, copied, l.data)
	if w := l.edge.watched(t, l.dir); w.Removed != 1 {
		t.Errorf("%d files were removed, want 1", w.Removed)
	}
}

// A peer whose copy is the very file that is to be removed does not hold another.
func TestRemoveAfterOfASharedFile(t *testing.T) {
	t.Parallel()
	l := newLeaving(t)
	if _, err := l.two.Add(t.Context(), api.AddRequest{Paths: []string{l.path}}, nil); err != nil {
		t.Fatal(err)
	}
	l.two.follow(t, api.FollowRequest{Peer: "edge"})
	eventually(t, "a second receipt", func() bool { return holders(t, l.edge, l.cid) == 2 })
	l.removeAfter(t, 2)
	l.stays(t)
	if w := l.edge.watched(t, l.dir); len(w.Failed) != 1 || !strings.Contains(w.Failed[0].Error, "this very file") {
		t.Errorf("listed as %+v", w.Failed)
	}
	if n := l.log.count("msg=added"); n != 1 {
		t.Errorf("hashed %d times, want once", n)
	}
}

// Two nodes that count on each other's copy never both remove theirs.
func TestRemoveAfterCountsOnEachOther(t *testing.T) {
	t.Parallel()
	nodes := [2]*testNode{startNode(t, serving), startNode(t, serving)}
	dirs, paths := [2]string{t.TempDir(), t.TempDir()}, [2]string{}
	var data []byte
	for i, n := range nodes {
		n.trusts(t, nodes[1-i])
		data = recording(t, dirs[i], "same.mp4", 2*mib, 9)
		paths[i] = filepath.Join(dirs[i], "same.mp4")
		n.watch(t, dirs[i])
	}
	cid := nodes[0].has(t, paths[0])
	nodes[1].has(t, paths[1])
	for i, n := range nodes {
		n.follow(t, api.FollowRequest{Peer: peerID(t, nodes[1-i])})
	}
	for _, n := range nodes {
		eventually(t, "the other's receipt", func() bool { return holders(t, n, cid) == 1 })
	}
	one := 1
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			if _, err := n.AddWatch(t.Context(), api.AddWatchRequest{Dir: dirs[i], RemoveAfter: &one}); err != nil {
				t.Error(err)
			}
			for range 10 {
				if err := daemon.LookForRemovals(t.Context(), n.Node); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	left := 0
	for _, path := range paths {
		if got, err := os.ReadFile(path); err == nil && string(got) == string(data) {
			left++
		}
	}
	if left == 0 {
		t.Fatal("both copies are gone")
	}
}

// A process that is killed at any step leaves the file, or the removal done.
func TestRemoveAfterIsCut(t *testing.T) {
	for steps := 1; steps <= daemon.RemovalSteps; steps++ {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			t.Parallel()
			var log logText
			n, dir := startNode(t, nodeWithAPI(&log)), t.TempDir()
			data := recording(t, dir, "talk.mp4", 2*mib, 3)
			path := filepath.Join(dir, "talk.mp4")
			n.watch(t, dir)
			cid := n.has(t, path)
			n.idle(t, dir, 1)
			n.stop()

			cut := openOnly(t, n.home)
			if err := daemon.CutRemoval(cut, path, steps); err != nil {
				t.Fatal(err)
			}
			if err := cut.Close(); err != nil {
				t.Fatal(err)
			}
			n = startNodeAt(t, n.home, nodeWithAPI(&log))
			n.idle(t, dir, 1)
			l := &leaving{edge: n, dir: dir, cid: cid}
			l.nothingAside(t)
			v := l.video(t)
			if steps <= 3 {
				sameFile(t, path, data)
				if v.State != "whole" || log.count("msg=added") != 1 {
					t.Errorf("the video is %s; log:\n%s", v.State, log.text.String())
				}
				return
			}
			if w := n.watched(t, dir); v.State != "removed" || w.Removed != 1 {
				t.Errorf("the video is %s, and %d are removed", v.State, w.Removed)
			}
		})
	}
}

// openOnly opens a node that is not on the network.
func openOnly(t *testing.T, home string) *daemon.Node {
	t.Helper()
	n, err := daemon.Open(context.WithoutCancel(t.Context()), daemon.Config{Paths: paths(home), NoTranscribe: true})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWatchSettingsChange(t *testing.T) {
	t.Parallel()
	n, other, dir := startNode(t, nodeWithAPI(io.Discard)), startNode(t), t.TempDir()
	if _, err := n.AddPeer(t.Context(), api.AddPeerRequest{Addr: other.addr(t), Name: "archive"}); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "a.mp4"), "a")
	n.watch(t, dir)
	n.idle(t, dir, 1)
	change := func(req api.AddWatchRequest) api.Watch {
		t.Helper()
		req.Dir = dir
		w, err := n.AddWatch(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := change(api.AddWatchRequest{RemoveAfter: new(1), RemoveHolders: []string{"archive"}})
	if w.RemoveAfter != 1 || len(w.RemoveHolders) != 1 || w.RemoveHolders[0].Name != "archive" || w.Added != 1 || w.Settle != soon.Seconds() {
		t.Errorf("with removal: %+v", w)
	}
	if w = change(api.AddWatchRequest{Glob: []string{"*.bin"}}); w.RemoveAfter != 1 || w.Added != 1 {
		t.Errorf("with another pattern: %+v", w)
	}
	n.has(t, writeFile(t, filepath.Join(dir, "b.bin"), "b"))
	_, err := n.AddWatch(t.Context(), api.AddWatchRequest{Dir: dir, RemoveAfter: new(2)})
	wantCode(t, err, api.CodeUsage, "1 are named")
	if w = change(api.AddWatchRequest{RemoveAfter: new(0)}); w.RemoveAfter != 0 || len(w.RemoveHolders) != 0 || w.Last == nil {
		t.Errorf("without removal: %+v", w)
	}
	for _, req := range []api.AddWatchRequest{
		{RemoveAfter: new(-1)}, {RemoveAfter: new(65)}, {RemoveHolders: []string{"archive"}}, {RemoveAfter: new(0), RemoveHolders: []string{"archive"}},
	} {
		req.Dir = dir
		_, err := n.AddWatch(t.Context(), req)
		wantCode(t, err, api.CodeUsage, "receipts")
	}
}
