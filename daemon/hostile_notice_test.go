package daemon_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/daemon"
	"github.com/vidsync/vidsync/protocol"
)

// signedBy is a receipt by a host.
func signedBy(t *testing.T, h host.Host, video string, size int64, at time.Time) protocol.SignedReceipt {
	t.Helper()
	c, err := cid.Decode(video)
	if err != nil {
		t.Fatal(err)
	}
	r, err := protocol.SignReceipt(h.Peerstore().PrivKey(h.ID()), c, size, at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Receipts count for the video, the size and the holder that they are for, and for
// no more than one holder however often they come. None of them deletes anything
// where the holder does not also say that it has the video.
func TestHostileTableOfReceipts(t *testing.T) {
	a := startNode(t, serving)
	dir := t.TempDir()
	path := filepath.Join(dir, "talk.mp4")
	data := recording(t, dir, "talk.mp4", 3*mib, 50)
	a.watch(t, dir)
	video := a.has(t, path)
	one := 1
	if _, err := a.AddWatch(t.Context(), api.AddWatchRequest{Dir: dir, RemoveAfter: &one}); err != nil {
		t.Fatal(err)
	}
	evil := plainHost(t)
	a.trustsHost(t, evil, "evil")
	id := dial(t, evil, a)
	other := plainHost(t) // trusted, too, and silent
	a.trustsHost(t, other, "other")
	now, size := time.Now(), int64(len(data))
	forged := signedBy(t, evil, video, size, now)
	forged.Holder = other.ID()
	for _, test := range []struct {
		name    string
		receipt protocol.SignedReceipt
		holders int
	}{
		{"another video", signedBy(t, evil, videoNumber(1).String(), size, now), 0},
		{"another size", signedBy(t, evil, video, size+1, now), 0},
		{"another holder's", signedBy(t, other, video, size, now), 0},
		{"in another's name", forged, 0},
		{"from the past", signedBy(t, evil, video, size, time.Unix(0, 0)), 1},
		{"from the future", signedBy(t, evil, video, size, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)), 1},
	} {
		for range 3 { // replayed
			err := protocol.SendNotices(t.Context(), evil, id, []protocol.Notice{{Receipt: &test.receipt}}, protocol.ClientConfig{})
			if (err == nil) != (test.holders > 0) {
				t.Errorf("%s: %v", test.name, err)
			}
		}
		if n := holders(t, a, video); n != test.holders {
			t.Errorf("%s: %d holders, want %d", test.name, n, test.holders)
		}
	}
	if err := daemon.LookForRemovals(t.Context(), a.Node); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(data) {
		t.Errorf("the file is gone on the word of a receipt: %v", err)
	}
}

// Notices of what is not here, and of what is, as fast as they go: they are bounded
// by the videos here.
func TestFloodOfNotices(t *testing.T) {
	stop := watchHeap(t, mostHeap)
	defer stop()
	a := startNode(t, serving)
	path, data := randomFile(t, "talk.mp4", mib, 51)
	added := a.add(t, path)
	evil := plainHost(t)
	a.trustsHost(t, evil, "evil")
	id := dial(t, evil, a)
	video := cid.MustParse(added.CID)
	for round := range 20 {
		var flood []protocol.Notice
		for i := range 100 {
			receipt := signedBy(t, evil, added.CID, int64(len(data)), time.Unix(int64(100*round+i), 0))
			flood = append(flood, protocol.Notice{Receipt: &receipt}, protocol.Notice{Transcript: video},
				protocol.Notice{Transcript: videoNumber(uint64(i))})
		}
		_ = protocol.SendNotices(t.Context(), evil, id, flood, protocol.ClientConfig{}) // what is not here is declined
	}
	receipts, err := a.Receipts(t.Context(), added.CID)
	if err != nil || len(receipts.Receipts) != 1 {
		t.Errorf("%d receipts are kept, %v", len(receipts.Receipts), err)
	}
}

// transcriptsOf answers every Open with one sidecar, of that length by its header.
func transcriptsOf(t *testing.T, h host.Host, text func() []byte, length uint64) *atomic.Int32 {
	t.Helper()
	var asked atomic.Int32
	h.SetStreamHandler(protocol.TranscriptID, func(s network.Stream) {
		defer s.Reset()
		if err := protodelim.UnmarshalFrom(bufio.NewReader(s), &emptypb.Empty{}); err != nil {
			return
		}
		asked.Add(1)
		header := append(bytesField(1, []byte("json")), numberField(2, length)...)
		if _, err := s.Write(catalogueMessage(numberField(1, 1), bytesField(2, header))); err != nil {
			return
		}
		_, _ = s.Write(text())
		_ = s.CloseWrite()
		_, _ = s.Read(make([]byte, 1))
	})
	return &asked
}

// Transcripts of trusted peers are taken apart and written anew: what does not fit
// is left, and nothing of them reaches a terminal or a file's name as it came.
func TestHostileTableOfTranscripts(t *testing.T) {
	const escapes = "\\u001b[2J<script>alert(1)</script>\\u0007\\u202e--> 00:00:01.000"
	good := func(video, language, word string) string {
		return fmt.Sprintf(`{"schema":"vidsync.transcript.v1","source":{"name":"../../x","size":1,"key":%q},"engine":"e\u001b[0m","language":%q,"duration":2,
			"segments":[{"start":0,"end":1,"text":"%s","words":[{"start":0,"end":1,"word":"%s"}]}],"files":{"../../x":"00","/etc/passwd":"00"}}`, video, language, word, word)
	}
	for _, test := range []struct {
		name    string
		text    func(video string) string
		length  uint64 // 0: that of the text
		arrives bool
	}{
		{"escapes in words", func(v string) string { return good(v, "en", escapes) }, 0, true},
		{"language that is a path", func(v string) string { return good(v, "../../../x", "word") }, 0, true},
		{"of another video", func(string) string { return good(videoNumber(9).String(), "en", "word") }, 0, false},
		{"of 100 MB", func(v string) string { return good(v, "en", "word") }, 100 << 20, false},
		{"garbage", func(string) string { return strings.Repeat("[", 1<<20) }, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := startNode(t, serving)
			path, _ := randomFile(t, "talk.mp4", mib, 52)
			added := a.add(t, path)
			evil := plainHost(t)
			text := []byte(test.text(added.CID))
			asked := transcriptsOf(t, evil, func() []byte { return text }, max(test.length, uint64(len(text))))
			a.trustsHost(t, evil, "evil")
			id := dial(t, evil, a)
			notice := []protocol.Notice{{Transcript: cid.MustParse(added.CID)}}
			if err := protocol.SendNotices(t.Context(), evil, id, notice, protocol.ClientConfig{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it to be asked for", func() bool { return asked.Load() > 0 })
			if test.arrives {
				eventually(t, "a transcript", func() bool {
					for _, format := range []string{"txt", "srt", "vtt", "json"} {
						if a.TranscriptText(t.Context(), api.TranscriptRequest{Ref: added.CID, Format: format}, io.Discard) != nil {
							return false
						}
					}
					return true
				})
			}
			checkSidecars(t, a, added.CID, path, test.arrives)
		})
	}
}

// besides are the files next to a video.
func besides(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			names = append(names, e.Name())
		}
	}
	return names
}

// checkSidecars wants files that begin with the video's name, and text in them that
// a terminal and a browser show as text.
func checkSidecars(t *testing.T, n *testNode, video, path string, wanted bool) {
	t.Helper()
	for _, name := range besides(t, path) {
		if !strings.HasPrefix(name, "talk.") && !strings.HasPrefix(name, ".") || !wanted {
			t.Errorf("file %q lies beside the video", name)
		}
	}
	for _, format := range []string{"txt", "srt", "vtt", "json"} {
		var text strings.Builder
		err := n.TranscriptText(context.Background(), api.TranscriptRequest{Ref: video, Format: format}, &text)
		if (err == nil) != wanted {
			t.Errorf("%s: %v", format, err)
		}
		if strings.ContainsAny(text.String(), "\x1b\x07\u202e") {
			t.Errorf("%s has escapes: %q", format, text.String())
		}
		if strings.Count(text.String(), "-->") > 1 && format != "json" {
			t.Errorf("%s has an arrow in its words: %q", format, text.String())
		}
		if format == "vtt" && strings.Contains(text.String(), "<script") {
			t.Errorf("markup in %q", text.String())
		}
	}
}
