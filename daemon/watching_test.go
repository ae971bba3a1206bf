package daemon_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/daemon"
)

// soon is how long files have to settle in these tests.
const soon = 200 * time.Millisecond

// nodeWithAPI has a node work as a daemon, and its log go to w.
func nodeWithAPI(w io.Writer) func(*daemon.Config) {
	return func(c *daemon.Config) {
		c.Serve, c.Logger = true, slog.New(slog.NewTextHandler(w, nil))
	}
}

// logText is a log that tests look into.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// comesTrue waits until ask returns nothing that is amiss.
func comesTrue(t *testing.T, ask func() (amiss string)) {
	t.Helper()
	amiss := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if amiss = ask(); amiss == "" {
			return
		}
	}
	t.Fatal(amiss)
}

func (n *testNode) watch(t *testing.T, dir string) {
	t.Helper()
	if _, err := n.AddWatch(t.Context(), api.AddWatchRequest{Dir: dir, Settle: soon}); err != nil {
		t.Fatal(err)
	}
}

// watched is how a folder stands.
func (n *testNode) watched(t *testing.T, dir string) api.Watch {
	t.Helper()
	all, err := n.Watches(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range all {
		if w.Dir == dir {
			return w
		}
	}
	t.Fatalf("%s is not watched", dir)
	return api.Watch{}
}

// files is what the catalogue has: states and CIDs by path.
func (n *testNode) files(t *testing.T) map[string][2]string {
	t.Helper()
	videos, err := api.Collect(n.Videos(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][2]string{}
	for _, v := range videos {
		out[v.Path] = [2]string{v.State, v.CID}
	}
	return out
}

// has waits until a file is a whole video, and returns its CID.
func (n *testNode) has(t *testing.T, path string) (cid string) {
	t.Helper()
	comesTrue(t, func() string {
		f := n.files(t)[path]
		if cid = f[1]; f[0] == "whole" {
			return ""
		}
		return path + " is " + f[0]
	})
	return cid
}

// catalogue is a video's entry.
func catalogue(t *testing.T, n *testNode, cid string) blockstore.Video {
	t.Helper()
	v, err := daemon.CatalogueEntry(n.Node, cid)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// idle waits until so many videos were added from a folder and none is at work.
func (n *testNode) idle(t *testing.T, dir string, added int64) {
	t.Helper()
	comesTrue(t, func() string {
		if w := n.watched(t, dir); w.Added != added || w.Adding != nil || w.State != "watching" {
			return fmt.Sprintf("%s is %s with %d added, want %d", dir, w.State, w.Added, added)
		}
		return ""
	})
}

func writeFile(t *testing.T, path, data string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestWatchedFolder(t *testing.T) {
	t.Parallel() // it mostly waits
	var log logText
	n, dir := startNode(t, nodeWithAPI(&log)), t.TempDir()
	there := writeFile(t, filepath.Join(dir, "there.mp4"), "there before")
	n.watch(t, dir)
	n.has(t, there)
	writeFile(t, filepath.Join(dir, "half.mp4.part"), "half")
	writeFile(t, filepath.Join(dir, "notes.txt"), "notes")
	deep := writeFile(t, filepath.Join(dir, "day 1", "cam", "a.mov"), "appeared")
	cid := n.has(t, deep)
	if v := catalogue(t, n, cid); v.RelPath != "day 1/cam/a.mov" || v.Name != "a.mov" || v.MediaType != "video/quicktime" {
		t.Errorf("catalogue has %+v", v)
	}

	twin := writeFile(t, filepath.Join(dir, "twin.mp4"), "appeared")
	comesTrue(t, func() string {
		if info, err := n.Info(t.Context(), cid); err != nil || len(info.Files) != 2 {
			return "the twin is not another place of its video"
		}
		return ""
	})
	if err := os.Remove(twin); err != nil {
		t.Fatal(err)
	}
	if got := n.files(t)[deep]; got[0] != "whole" {
		t.Errorf("without the twin: %v", got)
	}

	writeFile(t, deep, "recorded once more")
	comesTrue(t, func() string {
		if f := n.files(t)[deep]; f[0] == "whole" && f[1] != cid {
			return ""
		}
		return "the file that changed is not a new video"
	})
	n.idle(t, dir, 4)
	w := n.watched(t, dir)
	if w.Last == nil || w.Last.Path != deep || len(w.Failed) != 0 {
		t.Errorf("listed as %+v", w)
	}
	if got := n.files(t); len(got) != 3 { // that of twin and of deep as it was has a path, too
		t.Errorf("catalogue: %v", got)
	}
	if log.count("msg=added") != 4 || log.count("msg=\"watching folder\"") != 1 {
		t.Errorf("log:\n%s", log.text.String())
	}
}

func TestWatchedFileIsRenamed(t *testing.T) {
	t.Parallel()
	var log logText
	n, top := startNode(t, nodeWithAPI(&log)), t.TempDir()
	in, out := filepath.Join(top, "in"), filepath.Join(top, "out")
	a := writeFile(t, filepath.Join(in, "a.mp4"), "to be renamed")
	other := writeFile(t, filepath.Join(out, "other.mp4"), "another")
	before := n.add(t, a) // by hand, before it is watched
	n.watch(t, in)
	n.watch(t, out)
	n.has(t, other)
	n.idle(t, in, 0)
	n.idle(t, out, 1)
	for _, to := range []string{filepath.Join(in, "b.mp4"), filepath.Join(in, "sub", "c.mp4"), filepath.Join(out, "d.mp4")} {
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		rename(t, a, to)
		if cid := n.has(t, to); cid != before.CID {
			t.Fatalf("%s is %s, want %s", to, cid, before.CID)
		}
		a = to
	}
	comesTrue(t, func() string { // a moment after the file is known
		if v := catalogue(t, n, before.CID); v.Name != "d.mp4" || v.RelPath != "d.mp4" {
			return fmt.Sprintf("catalogue has %+v", v)
		}
		return ""
	})
	if n := log.count("msg=added"); n != 1 {
		t.Fatalf("%d files were hashed, want the other alone", n)
	}

	n.stop()
	to := filepath.Join(out, "while away.mp4")
	rename(t, a, to)
	again := startNodeAt(t, n.home, nodeWithAPI(&log))
	if cid := again.has(t, to); cid != before.CID || log.count("msg=added") != 1 {
		t.Errorf("renamed while no daemon ran: %s, want %s; log:\n%s", cid, before.CID, log.text.String())
	}
}

func TestWatchedFilesAreKnownAfterRestart(t *testing.T) {
	t.Parallel()
	var log logText
	n, dir := startNode(t, nodeWithAPI(&log)), t.TempDir()
	keep, drop := writeFile(t, filepath.Join(dir, "keep.mp4"), "kept"), writeFile(t, filepath.Join(dir, "drop.mp4"), "dropped")
	n.watch(t, dir)
	n.idle(t, dir, 2)
	if _, err := n.Remove(t.Context(), api.RemoveRequest{Ref: n.has(t, drop)}); err != nil {
		t.Fatal(err)
	}
	n.stop()
	renamed := filepath.Join(dir, "renamed.mp4")
	rename(t, drop, renamed)

	n = startNodeAt(t, n.home, nodeWithAPI(&log))
	if w := n.watched(t, dir); w.Added != 2 || w.Settle != soon.Seconds() {
		t.Errorf("after the restart: %+v", w)
	}
	marker := writeFile(t, filepath.Join(dir, "marker.mp4"), "shows that all before it were looked at")
	n.has(t, marker)
	n.idle(t, dir, 3)
	files := n.files(t)
	if files[keep][0] != "whole" || files[drop] != [2]string{} || files[renamed] != [2]string{} || log.count("msg=added") != 3 {
		t.Errorf("catalogue %v; log:\n%s", files, log.text.String())
	}
	n.stop()

	n = startNodeAt(t, n.home, nodeWithAPI(&log))
	if _, err := n.RemoveWatch(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	n.watch(t, dir) // anew: what was forgotten is added, too
	n.has(t, renamed)
	n.idle(t, dir, 1)
	if log.count("msg=added") != 4 {
		t.Errorf("log:\n%s", log.text.String())
	}
}

// A file of which nothing is on record any more, though nobody took it out, is
// added again: a recording too many is better than one too few.
func TestWatchedFileWhoseRecordIsLost(t *testing.T) {
	t.Parallel()
	var log logText
	n, dir := startNode(t, nodeWithAPI(&log)), t.TempDir()
	a, b := writeFile(t, filepath.Join(dir, "a.mp4"), "a"), filepath.Join(dir, "b.mp4")
	n.watch(t, dir)
	n.idle(t, dir, 1)
	n.stop()
	if err := forgetFile(t, n.home, a); err != nil {
		t.Fatal(err)
	}
	rename(t, a, b)
	n = startNodeAt(t, n.home, nodeWithAPI(&log))
	n.has(t, b)
}

func forgetFile(t *testing.T, home, path string) error {
	t.Helper()
	s, err := blockstore.Open(paths(home).Index, blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return errors.Join(s.ForgetFile(path), s.Close())
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	var log logText
	n, dir, other := startNode(t, nodeWithAPI(&log)), t.TempDir(), t.TempDir()
	n.watch(t, dir)
	n.watch(t, other)
	a := writeFile(t, filepath.Join(dir, "a.mp4"), "a")
	n.has(t, a)
	if _, err := n.RemoveWatch(t.Context(), dir+"/"); err != nil {
		t.Fatal(err)
	}
	late := writeFile(t, filepath.Join(dir, "late.mp4"), "late")
	n.has(t, writeFile(t, filepath.Join(other, "marker.mp4"), "marker"))
	if files := n.files(t); files[a][0] != "whole" || files[late] != [2]string{} {
		t.Errorf("catalogue: %v", files)
	}
	_, err := n.RemoveWatch(t.Context(), dir)
	wantCode(t, err, api.CodeNotFound, "vidsync watch ls")
}

func TestWatchedFolderGoesAway(t *testing.T) {
	t.Parallel()
	var log logText
	n, top := startNode(t, nodeWithAPI(&log)), t.TempDir()
	dir := filepath.Join(top, "card")
	a := writeFile(t, filepath.Join(dir, "a.mp4"), "a")
	n.watch(t, dir)
	cid := n.has(t, a)
	n.idle(t, dir, 1)
	rename(t, dir, dir+".away")
	comesTrue(t, func() string {
		if w := n.watched(t, dir); w.State != "unavailable" || w.Since == nil || w.Message == "" {
			return "listed as " + w.State
		}
		return ""
	})
	if got := n.files(t)[a]; got != [2]string{"missing", cid} {
		t.Errorf("while it is away: %v", got)
	}
	rename(t, dir+".away", dir)
	n.idle(t, dir, 1)
	if got := n.files(t)[a]; got != [2]string{"whole", cid} || log.count("msg=added") != 1 {
		t.Errorf("once it is back: %v; log:\n%s", got, log.text.String())
	}
}

func TestWatchedFileThatCannotBeAdded(t *testing.T) {
	t.Parallel()
	var log logText
	n, dir := startNode(t, nodeWithAPI(&log)), t.TempDir()
	n.watch(t, dir)
	path := writeFile(t, filepath.Join(dir, "no\xfftext.mp4"), "badly named")
	comesTrue(t, func() string {
		if w := n.watched(t, dir); len(w.Failed) != 1 || w.Failed[0].Path != path || !strings.Contains(w.Failed[0].Error, "rename it") {
			return "the failure is not listed"
		}
		return ""
	})
	if log.count("tried again later") != 1 {
		t.Errorf("log:\n%s", log.text.String())
	}
	better := filepath.Join(dir, "text.mp4")
	rename(t, path, better)
	n.has(t, better)
	n.idle(t, dir, 1)
	if w := n.watched(t, dir); len(w.Failed) != 0 {
		t.Errorf("listed as %+v", w)
	}
}

func TestWatchWithoutDaemon(t *testing.T) {
	n, dir := startNode(t), t.TempDir()
	n.watch(t, dir)
	if w := n.watched(t, dir); w.State != "stopped" {
		t.Errorf("listed as %+v", w)
	}
	if _, err := n.RemoveWatch(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
}

func TestWatchErrors(t *testing.T) {
	n, dir := startNode(t), t.TempDir()
	inner, file := filepath.Join(dir, "inner"), writeFile(t, filepath.Join(dir, "file.mp4"), "x")
	writeFile(t, filepath.Join(inner, "deep", "x.mp4"), "x")
	n.watch(t, inner)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(inner, "deep"), link); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		req   api.AddWatchRequest
		code  api.Code
		words string
	}{
		"relative":         {api.AddWatchRequest{Dir: "in"}, api.CodeUsage, "absolute"},
		"not there":        {api.AddWatchRequest{Dir: filepath.Join(dir, "none")}, api.CodeNotFound, "no such file"},
		"a file":           {api.AddWatchRequest{Dir: file}, api.CodeUsage, "not a folder"},
		"the same":         {api.AddWatchRequest{Dir: inner + "/"}, api.CodeUsage, "watched already"},
		"in it":            {api.AddWatchRequest{Dir: filepath.Join(inner, "deep")}, api.CodeUsage, "with everything below"},
		"in it, by a link": {api.AddWatchRequest{Dir: link}, api.CodeUsage, "with everything below"},
		"around it":        {api.AddWatchRequest{Dir: dir}, api.CodeUsage, "vidsync watch rm " + inner},
		"bad pattern":      {api.AddWatchRequest{Dir: t.TempDir(), Glob: []string{"[a"}}, api.CodeUsage, "*.mp4"},
		"pattern of paths": {api.AddWatchRequest{Dir: t.TempDir(), Glob: []string{"a/*.mp4"}}, api.CodeUsage, "names alone"},
		"settle too short": {api.AddWatchRequest{Dir: t.TempDir(), Settle: 1}, api.CodeUsage, "100ms"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := n.AddWatch(t.Context(), test.req)
			wantCode(t, err, test.code, test.words)
		})
	}
	for i := range 100 {
		_, err := n.AddWatch(t.Context(), api.AddWatchRequest{Dir: t.TempDir()})
		if err != nil && i == 63 { // one is watched already
			wantCode(t, err, api.CodeUsage, "64 folders")
			return
		}
		if err != nil {
			t.Fatalf("folder %d: %v", i, err)
		}
	}
	t.Error("there is no limit")
}
