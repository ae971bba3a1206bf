package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/api"
)

// wantNothingLeft checks that a node has nothing of a recording that goes on.
func wantNothingLeft(t *testing.T, n *testNode, folder string) {
	t.Helper()
	eventually(t, "the jobs of recordings to end", func() bool {
		jobs, err := n.Jobs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range jobs {
			if j.Kind == "live" || j.State != "done" {
				return false
			}
		}
		return len(partsIn(t, folder)) == 0
	})
}

func partsIn(t *testing.T, folder string) (parts []string) {
	t.Helper()
	_ = filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".part") {
			parts = append(parts, path)
		}
		return nil // what is gone just now is no part
	})
	return parts
}

// listed is how many videos a node has in a state.
func listed(t *testing.T, n *testNode, state string) (count int) {
	t.Helper()
	videos, err := api.Collect(n.Videos(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range videos {
		if v.State == state {
			count++
		}
	}
	return count
}

// offered is how much of the only recording of the edge is offered.
func (p *liveParts) offered(t *testing.T) int64 {
	t.Helper()
	if w := p.edge.watched(t, p.camera); len(w.Recording) > 0 {
		return w.Recording[0].Size
	}
	return 0
}

func (p *liveParts) restartServer(t *testing.T) {
	t.Helper()
	p.server = startNodeAt(t, p.serverHome, serving)
	p.edge.trusts(t, p.server)
}

// Recordings with the same bytes become one video; nothing stays of the others,
// whether the follower was there when they ended or not.
func TestLiveTwins(t *testing.T) {
	t.Parallel()
	for _, away := range []bool{false, true} {
		p := newLiveParts(t)
		all := []*recorder{record(t, filepath.Join(p.camera, "a.ts"), 11), record(t, filepath.Join(p.camera, "b.ts"), 11)}
		write := func(n int) {
			for _, r := range all {
				r.write(n)
			}
		}
		write(block + mib)
		eventually(t, "a block", func() bool { // the versions are equal, too: it may come for one alone
			write(1000)
			return max(came(t, p.server, "a.ts"), came(t, p.server, "b.ts")) >= block
		})
		if away {
			p.server.stop()
		}
		write(mib)
		all[0].finish()
		eventually(t, "one to be added", func() bool { return p.edge.watched(t, p.camera).Added == 1 })
		all[1].finish()
		eventually(t, "the other to be added", func() bool { return p.edge.watched(t, p.camera).Added == 2 })
		if away {
			p.restartServer(t)
		}
		eventually(t, "the video", func() bool { return listed(t, p.server, "whole") == 1 })
		wantNothingLeft(t, p.server, p.into)
		files, err := filepath.Glob(filepath.Join(p.into, "*"))
		if err != nil || len(files) != 1 {
			t.Fatalf("the server has %v, %v", files, err)
		}
		sameFile(t, files[0], all[0].data)
	}
}

// A recording may begin with, or be, a video that the edge has already. That
// stays whole.
func TestLiveRecordingOfWhatIsThere(t *testing.T) {
	t.Parallel()
	p := newLiveParts(t)
	first := record(t, filepath.Join(p.camera, "first.ts"), 12)
	first.write(2 * block)
	first.finish()
	eventually(t, "the first", p.server.arrived(filepath.Join(p.into, "first.ts")))
	second := record(t, filepath.Join(p.camera, "second.ts"), 12)
	second.write(2*block + mib) // hashed one after the other, or both at once
	eventually(t, "the recording to be noticed", func() bool {
		second.write(1000)
		return len(p.edge.watched(t, p.camera).Recording) == 1
	})
	second.write(block)
	eventually(t, "the third block", func() bool { second.write(1000); return p.offered(t) >= 3*block })
	if listed(t, p.edge, "whole") != 1 {
		t.Error("the first is not whole while the second is recorded")
	}
	second.finish()
	there := filepath.Join(p.into, "second.ts")
	eventually(t, "the second", p.server.arrived(there))
	sameFile(t, there, second.data)
	wantNothingLeft(t, p.server, p.into)
	if listed(t, p.edge, "whole") != 2 || listed(t, p.server, "whole") != 2 {
		t.Error("not both are whole at both ends")
	}
}

// Another file in the place of one that is recorded is added, and what came of
// the recording kept.
func TestLiveRecordingReplaced(t *testing.T) {
	t.Parallel()
	p := newLiveParts(t)
	r := record(t, filepath.Join(p.camera, "a.ts"), 13)
	r.write(block + mib)
	eventually(t, "a block", func() bool { r.write(1000); return came(t, p.server, "a.ts") >= block })
	other := record(t, filepath.Join(t.TempDir(), "other.ts"), 14)
	other.write(mib)
	other.finish()
	if err := os.Rename(other.file.Name(), filepath.Join(p.camera, "a.ts")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both", func() bool { return listed(t, p.server, "whole") == 2 })
	wantNothingLeft(t, p.server, p.into)
	if w := p.edge.watched(t, p.camera); len(w.Failed)+len(w.Recording) > 0 || listed(t, p.edge, "whole") != 1 {
		t.Errorf("at the edge: %+v", w)
	}
}

// A folder that is watched no more, or not with that name, ends its recordings.
func TestLiveRecordingUnwatched(t *testing.T) {
	t.Parallel()
	p := newLiveParts(t)
	r := record(t, filepath.Join(p.camera, "a.ts"), 15)
	r.write(block + mib)
	eventually(t, "a block", func() bool { r.write(1000); return came(t, p.server, "a.ts") >= block })
	if _, err := p.edge.RemoveWatch(t.Context(), p.camera); err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(p.into, "a.ts")
	eventually(t, "what came under its name", p.server.arrived(there))
	sameFile(t, there, r.data[:block])
	wantNothingLeft(t, p.server, p.into)
}

// Of a recording that the follow does not want any more nothing stays.
func TestLiveRecordingUnwanted(t *testing.T) {
	t.Parallel()
	p := newLiveParts(t)
	a, b := record(t, filepath.Join(p.camera, "a.ts"), 16), record(t, filepath.Join(p.camera, "b.mkv"), 17)
	write := func(n int) { a.write(n); b.write(n) }
	write(block + mib)
	eventually(t, "a block of each", func() bool {
		write(1000)
		return came(t, p.server, "a.ts") >= block && came(t, p.server, "b.mkv") >= block
	})
	p.server.follow(t, api.FollowRequest{Peer: "edge", Into: p.into, Globs: []string{"*.mkv"}})
	eventually(t, "the part of one to be removed", func() bool { write(1000); return len(partsIn(t, p.into)) == 1 })
	if err := os.Rename(b.file.Name(), filepath.Join(p.camera, "b.ts")); err != nil {
		t.Fatal(err)
	}
	write(block)
	eventually(t, "the part of the other to be removed", func() bool { write(1000); return len(partsIn(t, p.into)) == 0 })
	a.finish()
	b.finish()
	eventually(t, "both to be added", func() bool { return p.edge.watched(t, p.camera).Added == 2 })
	wantNothingLeft(t, p.server, p.into)
	if listed(t, p.server, "whole") != 0 {
		t.Error("what is not wanted came")
	}
}

// What came of a recording is kept whose video was removed before it was here.
func TestLiveRecordingRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	p := newLiveParts(t)
	r := record(t, filepath.Join(p.camera, "a.ts"), 18)
	r.write(block + mib)
	eventually(t, "a block", func() bool { r.write(1000); return came(t, p.server, "a.ts") >= block })
	p.server.stop()
	r.finish()
	eventually(t, "it to be added", func() bool { return p.edge.watched(t, p.camera).Added == 1 })
	if _, err := p.edge.Remove(t.Context(), api.RemoveRequest{Ref: "a.ts", Files: true}); err != nil {
		t.Fatal(err)
	}
	p.restartServer(t)
	there := filepath.Join(p.into, "a.ts")
	eventually(t, "what came", p.server.arrived(there))
	sameFile(t, there, r.data[:block])
	wantNothingLeft(t, p.server, p.into)
}

// A recording that was renamed while the daemon was down is the same one.
func TestLiveRecordingRenamedUnseen(t *testing.T) {
	t.Parallel()
	p := newLiveParts(t)
	r := record(t, filepath.Join(p.camera, "recording.ts"), 19)
	r.write(block + mib)
	eventually(t, "a block", func() bool { r.write(1000); return came(t, p.server, "recording.ts") >= block })
	addr := p.edge.addr(t)
	p.edge.stop()
	if err := os.Rename(r.file.Name(), filepath.Join(p.camera, "talk.ts")); err != nil {
		t.Fatal(err)
	}
	r.finish()
	p.edge = startNodeAt(t, p.edgeHome, serving, listens(addr))
	p.edge.trusts(t, p.server)
	there := filepath.Join(p.into, "talk.ts")
	eventually(t, "the whole", p.server.arrived(there))
	sameFile(t, there, r.data)
	wantNothingLeft(t, p.server, p.into)
	wantOnlyVideo(t, p.server, there)
	wantOnlyVideo(t, p.edge, filepath.Join(p.camera, "talk.ts"))
}

// Fetches of what came while it was recorded go on when the edge is not followed
// any more.
func TestLiveRecordingUnfollowed(t *testing.T) {
	t.Parallel()
	p := newLiveParts(t)
	r := record(t, filepath.Join(p.camera, "a.ts"), 20)
	r.write(block + mib)
	eventually(t, "a block", func() bool { r.write(1000); return came(t, p.server, "a.ts") >= block })
	if _, err := p.server.Unfollow(t.Context(), "edge"); err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(p.into, "a.ts")
	eventually(t, "what came", p.server.arrived(there))
	sameFile(t, there, r.data[:block])
	wantNothingLeft(t, p.server, p.into)
}
