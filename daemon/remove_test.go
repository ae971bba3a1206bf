package daemon_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vidsync/vidsync/api"
)

const nobodyHas = "bafyr4ieptxdeuinf3pmofb4cyucqyodctxak5ojtwwj5pntp5zrwb4d7bu"

// remove removes a video with its files.
func (n *testNode) remove(t *testing.T, ref string) api.Freed {
	t.Helper()
	freed, err := n.Remove(t.Context(), api.RemoveRequest{Ref: ref, Files: true})
	if err != nil {
		t.Fatal(err)
	}
	return freed
}

func TestRemoveOfAJobAlone(t *testing.T) {
	n := startNode(t)
	if _, err := n.Fetch(t.Context(), api.FetchRequest{Ref: nobodyHas, Detach: true}, nil); err != nil {
		t.Fatal(err)
	}
	if videos, err := api.Collect(n.Videos(t.Context())); err != nil || len(videos) != 1 {
		t.Fatalf("before: %+v, %v", videos, err)
	}
	n.remove(t, nobodyHas)
	if jobs, err := n.Jobs(t.Context()); err != nil || len(jobs) != 0 {
		t.Errorf("jobs left: %+v, %v", jobs, err)
	}
	_, err := n.Remove(t.Context(), api.RemoveRequest{Ref: nobodyHas})
	wantCode(t, err, api.CodeNotFound)
}

func TestFailedFetchIsNotListedAsAVideo(t *testing.T) {
	t.Parallel() // it mostly waits
	n := startNode(t)
	path, _ := randomFile(t, "talk.mp4", mib, 20)
	added := n.add(t, path)
	taken, _ := randomFile(t, "taken.mp4", mib, 21)
	for _, req := range []api.FetchRequest{{Ref: added.CID, Output: taken}, {Ref: nobodyHas, Peers: []string{}}} {
		if _, err := n.Fetch(t.Context(), req, nil); err == nil {
			t.Fatalf("fetch %+v succeeded", req)
		}
	}
	videos, err := api.Collect(n.Videos(t.Context()))
	if err != nil || len(videos) != 1 || videos[0].State != "whole" {
		t.Errorf("videos: %+v, %v", videos, err)
	}
}

func TestRemoveKeepsWhatTookTheFilesPlace(t *testing.T) {
	n := startNode(t)
	path, _ := randomFile(t, "talk.mp4", 3*mib, 22)
	added := n.add(t, path)
	other, data := randomFile(t, "new.mp4", 2*mib, 23)
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	freed := n.remove(t, added.CID)
	if len(freed.Files) != 0 || !slices.Equal(freed.Kept, []string{path}) {
		t.Errorf("freed %+v, want the new file kept", freed)
	}
	sameFile(t, path, data)
}

func TestRemoveDeletesFiles(t *testing.T) {
	n := startNode(t)
	path, _ := randomFile(t, "talk.mp4", 3*mib, 24)
	freed := n.remove(t, n.add(t, path).CID)
	if !slices.Equal(freed.Files, []string{path}) || freed.Bytes < 3*mib {
		t.Errorf("freed %+v", freed)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is still there")
	}
}

// interrupted leaves b with the beginning of a fetch from a, which it trusts:
// a part file and a receipt.
func interrupted(t *testing.T, a, b *testNode, name string, seed uint64) (added api.Added, part string) {
	t.Helper()
	a.trusts(t, b)
	path, data := randomFile(t, name, oddSize, seed)
	added = a.add(t, path)
	flip(t, path, 0) // so that a has nothing to give
	part = filepath.Join(b.home, "videos", name+".part")
	for wait := shortWait; ; wait *= 2 { // it may be too short on a busy machine
		_, err := b.Fetch(t.Context(), api.FetchRequest{Ref: added.CID, Peers: []string{a.addr(t)}, Timeout: wait}, nil)
		wantCode(t, err, api.CodeUnavailable)
		if _, err := os.Stat(part); err == nil {
			break
		} else if wait > patience {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	a.add(t, path)
	return added, part
}

func TestRemoveDeletesOnlyItsOwnPart(t *testing.T) {
	t.Parallel() // it mostly waits
	a, b := startNode(t), startNode(t)
	added, part := interrupted(t, a, b, "talk.mp4", 25)
	other, data := randomFile(t, "other", mib, 26)
	if err := os.Rename(other, part); err != nil {
		t.Fatal(err)
	}
	if freed := b.remove(t, added.CID); len(freed.Files) != 0 {
		t.Errorf("deleted %v", freed.Files)
	}
	sameFile(t, part, data)

	added, part = interrupted(t, a, b, "second.mp4", 27)
	if freed := b.remove(t, added.CID); !slices.Equal(freed.Files, []string{part}) {
		t.Errorf("deleted %v, want %s", freed.Files, part)
	}
}
