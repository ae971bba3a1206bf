package daemon_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
)

const block = 32 * mib

// recorder writes a file as a camera does, a little at a time.
type recorder struct {
	t    *testing.T
	file *os.File
	data []byte // what the file holds
	rng  *rand.ChaCha8
}

func record(t *testing.T, path string, seed byte) *recorder {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // closed by finish already, as a rule
	return &recorder{t: t, file: f, rng: rand.NewChaCha8([32]byte{seed})}
}

// write appends n bytes.
func (r *recorder) write(n int) {
	r.t.Helper()
	for n > 0 {
		some := make([]byte, min(n, mib))
		_, _ = r.rng.Read(some) // never fails
		if _, err := r.file.Write(some); err != nil {
			r.t.Fatal(err)
		}
		r.data, n = append(r.data, some...), n-len(some)
	}
}

// rewrite puts other bytes at an offset.
func (r *recorder) rewrite(at, n int) {
	r.t.Helper()
	_, _ = r.rng.Read(r.data[at : at+n]) // never fails
	if _, err := r.file.WriteAt(r.data[at:at+n], int64(at)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *recorder) finish() {
	r.t.Helper()
	if err := r.file.Close(); err != nil {
		r.t.Fatal(err)
	}
}

func (n *testNode) watchLive(t *testing.T, dir string) {
	t.Helper()
	live := true
	if _, err := n.AddWatch(t.Context(), api.AddWatchRequest{Dir: dir, Settle: time.Second, Live: &live}); err != nil {
		t.Fatal(err)
	}
}

// liveParts is a server that follows an edge, which watches a camera's folder.
type liveParts struct {
	server, edge         *testNode
	camera, into         string
	serverHome, edgeHome string
}

func newLiveParts(t *testing.T) *liveParts {
	p := &liveParts{camera: t.TempDir(), into: filepath.Join(t.TempDir(), "in"), serverHome: t.TempDir(), edgeHome: t.TempDir()}
	p.server, p.edge = startNodeAt(t, p.serverHome, serving), startNodeAt(t, p.edgeHome, serving)
	if _, err := p.server.AddPeer(t.Context(), api.AddPeerRequest{Addr: peerID(t, p.edge), Name: "edge"}); err != nil {
		t.Fatal(err)
	}
	p.edge.trusts(t, p.server)
	p.edge.watchLive(t, p.camera)
	p.server.follow(t, api.FollowRequest{Peer: "edge", Into: p.into})
	return p
}

// came is how much of a recording the server lists as here; 0 if it lists none.
func came(t *testing.T, n *testNode, name string) int64 {
	t.Helper()
	videos, err := api.Collect(n.Videos(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range videos {
		if v.Name == name && v.State == "live" {
			return v.Have
		}
	}
	return 0
}

// wantOnlyVideo checks that a node's catalogue has one video, whole at a path.
func wantOnlyVideo(t *testing.T, n *testNode, path string) {
	t.Helper()
	videos, err := api.Collect(n.Videos(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if len(videos) != 1 || videos[0].State != "whole" || videos[0].Path != path {
		t.Errorf("videos %+v, want one at %s", videos, path)
	}
	if parts, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.part")); len(parts) > 0 {
		t.Errorf("left over: %v", parts)
	}
}

func TestLiveRecording(t *testing.T) {
	t.Parallel()
	p := newLiveParts(t)
	r := record(t, filepath.Join(p.camera, "day 1", "talk.ts"), 1)
	r.write(block + 5*mib)
	there := filepath.Join(p.into, "day 1", "talk.ts")
	eventually(t, "the first block", func() bool { r.write(1000); return came(t, p.server, "talk.ts") >= block })
	part, err := os.ReadFile(there + ".part")
	if err != nil || len(part) < block || !bytes.Equal(part[:block], r.data[:block]) {
		t.Errorf("part file of %d bytes, %v", len(part), err)
	}
	if w := p.edge.watched(t, p.camera); !w.Live || len(w.Recording) != 1 || w.Recording[0].Size < block {
		t.Errorf("watched %+v", w)
	}
	r.write(block)
	eventually(t, "the second block", func() bool { r.write(1000); return came(t, p.server, "talk.ts") >= 2*block })
	r.rewrite(100, 1000) // as a muxer does with its head
	r.write(3*mib + 17)
	r.finish()
	eventually(t, "the whole", p.server.arrived(there))
	sameFile(t, there, r.data)
	wantOnlyVideo(t, p.server, there)
	wantOnlyVideo(t, p.edge, filepath.Join(p.camera, "day 1", "talk.ts"))
	eventually(t, "its receipt", func() bool { return holders(t, p.edge, "talk.ts") == 1 })

	// A plain add of the same bytes is the same video.
	plain := startNode(t)
	same := plain.add(t, filepath.Join(p.camera, "day 1", "talk.ts"))
	if videos, err := api.Collect(p.server.Videos(t.Context())); err != nil || videos[0].CID != same.CID {
		t.Errorf("the server has %+v, %v, a plain add gives %s", videos, err, same.CID)
	}
}

// A block that is rewritten after it was offered is noticed when it is asked for,
// and offered anew.
func TestLiveRecordingRewritten(t *testing.T) {
	t.Parallel()
	p := newLiveParts(t)
	p.server.stop()
	r := record(t, filepath.Join(p.camera, "a.mp4"), 2)
	r.write(2*block + 1)
	eventually(t, "two blocks to be offered", func() bool {
		r.write(1000)
		w := p.edge.watched(t, p.camera)
		return len(w.Recording) == 1 && w.Recording[0].Size >= 2*block
	})
	r.rewrite(block+7, mib)
	p.server = startNodeAt(t, p.serverHome, serving)
	p.edge.trusts(t, p.server)
	eventually(t, "both blocks", func() bool { r.write(1000); return came(t, p.server, "a.mp4") >= 2*block })
	there := filepath.Join(p.into, "a.mp4")
	part, err := os.ReadFile(there + ".part")
	if err != nil || !bytes.Equal(part[:2*block], r.data[:2*block]) {
		t.Errorf("part file of %d bytes is not what was written, %v", len(part), err)
	}
	r.finish()
	eventually(t, "the whole", p.server.arrived(there))
	sameFile(t, there, r.data)
	wantOnlyVideo(t, p.server, there)
}

func TestLiveRecordingThroughRestarts(t *testing.T) {
	t.Parallel()
	p := newLiveParts(t)
	r := record(t, filepath.Join(p.camera, "a.mkv"), 3)
	r.write(block + mib)
	eventually(t, "a block", func() bool { r.write(1000); return came(t, p.server, "a.mkv") >= block })
	addr := p.edge.addr(t)
	id := p.edge.watched(t, p.camera).Recording[0].ID
	p.edge.stop()
	r.write(block)
	p.edge = startNodeAt(t, p.edgeHome, serving, listens(addr))
	eventually(t, "the next block after the edge's restart", func() bool { r.write(1000); return came(t, p.server, "a.mkv") >= 2*block })
	if now := p.edge.watched(t, p.camera).Recording; len(now) != 1 || now[0].ID != id {
		t.Errorf("recording %+v, was %s before the restart", now, id)
	}
	p.server.stop()
	r.write(block)
	p.server = startNodeAt(t, p.serverHome, serving)
	p.edge.trusts(t, p.server)
	eventually(t, "the next block after the server's restart", func() bool { r.write(1000); return came(t, p.server, "a.mkv") >= 3*block })
	p.edge.stop()
	r.finish()
	p.edge = startNodeAt(t, p.edgeHome, serving, listens(addr))
	p.edge.trusts(t, p.server)
	there := filepath.Join(p.into, "a.mkv")
	eventually(t, "the whole", p.server.arrived(there))
	sameFile(t, there, r.data)
	wantOnlyVideo(t, p.server, there)
	wantOnlyVideo(t, p.edge, filepath.Join(p.camera, "a.mkv"))
}

// What came of a recording that is lost at the edge is kept.
func TestLiveRecordingLost(t *testing.T) {
	t.Parallel()
	p := newLiveParts(t)
	r := record(t, filepath.Join(p.camera, "a.ts"), 4)
	r.write(2*block + mib)
	eventually(t, "two blocks", func() bool { r.write(1000); return came(t, p.server, "a.ts") >= 2*block })
	if err := os.Remove(filepath.Join(p.camera, "a.ts")); err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(p.into, "a.ts")
	eventually(t, "what came under its name", p.server.arrived(there))
	sameFile(t, there, r.data[:2*block])
	wantOnlyVideo(t, p.server, there)
}

// A recording that gets its name when it is finished, and one of a recorder that
// takes room for the whole file first.
func TestLiveRecordingRenamedAndPreallocated(t *testing.T) {
	t.Parallel()
	p := newLiveParts(t)
	a := record(t, filepath.Join(p.camera, "rec.ts"), 5)
	b := record(t, filepath.Join(p.camera, "b.mov"), 6)
	if err := b.file.Truncate(4 * block); err != nil {
		t.Fatal(err)
	}
	a.write(block + mib)
	b.write(block + mib)
	eventually(t, "a block of each", func() bool {
		a.write(1000)
		b.write(4096)
		return came(t, p.server, "rec.ts") >= block && came(t, p.server, "b.mov") >= block
	})
	if w := p.edge.watched(t, p.camera); len(w.Recording) != 2 || w.Recording[0].Size != block {
		t.Errorf("offered: %+v, want a block: the rest is a hole", w.Recording)
	}
	if err := os.Rename(filepath.Join(p.camera, "rec.ts"), filepath.Join(p.camera, "talk.ts")); err != nil {
		t.Fatal(err)
	}
	a.write(block)
	a.finish()
	if err := b.file.Truncate(int64(len(b.data))); err != nil {
		t.Fatal(err)
	}
	b.finish()
	for path, want := range map[string][]byte{"talk.ts": a.data, "b.mov": b.data} {
		there := filepath.Join(p.into, path)
		eventually(t, path, p.server.arrived(there))
		sameFile(t, there, want)
	}
	if left, _ := filepath.Glob(filepath.Join(p.into, "*")); len(left) != 2 {
		t.Errorf("the server has %v", left)
	}
}

// clip is a short video of about 13 MiB a second.
func clip(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clip.ts")
	ffmpeg(t, "-f", "lavfi", "-i", "nullsrc=s=960x540:r=25,geq=random(1)*255:128:128", "-t", "1",
		"-c:v", "mpeg2video", "-q:v", "1", "-g", "1", "-threads", "2", path)
	return path
}

func ffmpeg(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-nostdin", "-v", "error", "-y"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Every kind of file that recorders write arrives as it is, and part of it before
// it is finished.
func TestLiveRecordingOfEveryKind(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("needs ffmpeg")
	}
	t.Parallel()
	source := clip(t)
	p := newLiveParts(t)
	kinds := map[string][]string{
		"stream.ts":      {"-f", "mpegts"},
		"matroska.mkv":   {"-f", "matroska"},
		"fragmented.mp4": {"-f", "mp4", "-movflags", "frag_keyframe+empty_moov+default_base_moof"},
		"plain.mp4":      {"-f", "mp4"},
	}
	for name, format := range kinds {
		path, there := filepath.Join(p.camera, name), filepath.Join(p.into, name)
		args := append([]string{"-v", "error", "-y", "-re", "-stream_loop", "-1", "-i", source, "-c", "copy", "-fflags", "+genpts"}, format...)
		stop := start(t, "ffmpeg", append(args, path)...)
		eventually(t, "a part of "+name, func() bool { return came(t, p.server, name) >= block })
		stop("q")
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, name, p.server.arrived(there))
		sameFile(t, there, want)
		ffmpeg(t, "-i", there, "-map", "0:v", "-c", "copy", "-f", "null", "-")
	}
}

// start runs a program, and stop ends it by what one types.
func start(t *testing.T, program string, args ...string) (stop func(typed string)) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var said strings.Builder
	cmd.Stderr = &said
	keys, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(typed string) {
		t.Helper()
		_, err := io.WriteString(keys, typed)
		if err := errors.Join(err, cmd.Wait()); err != nil {
			t.Fatalf("%s: %v\n%s", program, err, &said)
		}
	}
}
