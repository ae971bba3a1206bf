package transcribe_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/transcribe"
)

// A transcript that another node made is hostile: it must not choose where its
// files lie, nor say things to players or terminals that are not its words.
func TestAdopt(t *testing.T) {
	const key = "bafyvideo"
	hostile := func(change func(*transcribe.Transcript)) []byte {
		tr := transcribe.Transcript{
			Schema: "vidsync.transcript.v1", Language: "en", Engine: "whisper", Source: transcribe.Source{Key: key, Name: "other.mp4"},
			Segments: []transcribe.Segment{{Text: "hello\x1b[2J there", End: 1, Confidence: 0.9}},
		}
		change(&tr)
		data, err := json.Marshal(tr)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for _, tt := range []struct {
		name string
		data []byte
		base string // "": refused
	}{
		{"as it should be", hostile(func(*transcribe.Transcript) {}), "talk.en"},
		{"language that leads away", hostile(func(tr *transcribe.Transcript) { tr.Language = "../../evil" }), "talk.und"},
		{"texts that never end", hostile(func(tr *transcribe.Transcript) { tr.Engine = strings.Repeat("-->\n", 10_000) }), "talk.en"},
		{"hashes of files that it did not send", hostile(func(tr *transcribe.Transcript) { tr.Files = map[string]string{"srt": "00"} }), "talk.en"},
		{"of another video", hostile(func(tr *transcribe.Transcript) { tr.Source.Key = "bafyother" }), ""},
		{"another schema", hostile(func(tr *transcribe.Transcript) { tr.Schema = "x" }), ""},
		{"no JSON", []byte("{"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			video := filepath.Join(dir, "videos", "talk.mp4")
			if err := os.Mkdir(filepath.Dir(video), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(video, []byte("video"), 0o644); err != nil {
				t.Fatal(err)
			}
			res, err := transcribe.Adopt(video, key, tt.data)
			if (err == nil) != (tt.base != "") {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			if res.State != transcribe.Done || len(res.Files) != 4 {
				t.Errorf("result %+v", res)
			}
			for _, format := range []string{"json", "srt", "vtt", "txt"} {
				path := filepath.Join(filepath.Dir(video), tt.base+"."+format)
				data, err := os.ReadFile(path)
				if err != nil || len(data) > 4096 || strings.Contains(string(data), "\x1b") || strings.Contains(string(data), "u001b") {
					t.Errorf("%s: %.200q, %v", path, data, err)
				}
				if found, err := transcribe.Find(video, "", format); err != nil || found != path {
					t.Errorf("found %s, %v", found, err)
				}
			}
			if len(transcribe.Sidecars(video)) != 4 {
				t.Errorf("sidecars: %q", transcribe.Sidecars(video))
			}
		})
	}
}
