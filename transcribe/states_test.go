package transcribe_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vidsync/vidsync/transcribe"
)

func TestStates(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe", "pocketsphinx_batch")
	dir := t.TempDir()
	good := filepath.Join(dir, "good.mp4")
	tone(t, good)
	tests := []struct {
		name string
		make func(path string)
		req  transcribe.Request
		want transcribe.State
		says string
	}{
		{name: "silent film", want: transcribe.NoAudio, says: "no audio",
			make: func(p string) { ffmpeg(t, "-f", "lavfi", "-i", "color=size=64x36:duration=1", p) }},
		{name: "index missing", want: transcribe.Unreadable, says: "cut short",
			make: func(p string) { half(t, good, p) }},
		{name: "end missing", want: transcribe.Unreadable, says: "cut short",
			make: func(p string) {
				ffmpeg(t, "-i", good, "-c", "copy", "-movflags", "+faststart", p)
				half(t, p, p)
			}},
		{name: "end of matroska missing", want: transcribe.Unreadable, says: "cut short",
			make: func(p string) {
				ffmpeg(t, "-i", good, "-c", "copy", "-f", "matroska", p)
				half(t, p, p)
			}},
		{name: "text", want: transcribe.Unreadable, says: "",
			make: func(p string) { write(t, p, strings.Repeat("no media at all\n", 100)) }},
		{name: "empty", want: transcribe.Unreadable, says: "", make: func(p string) { write(t, p, "") }},
		{name: "playlist", want: transcribe.Unreadable, says: "playlist",
			make: func(p string) {
				write(t, p, "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\ngood.mp4\n#EXT-X-ENDLIST\n")
			}},
		{name: "concat", want: transcribe.Unreadable, says: "playlist",
			make: func(p string) { write(t, p, "ffconcat version 1.0\nfile good.mp4\n") }},
		{name: "pipe", want: transcribe.Unreadable, says: "ordinary file",
			make: func(p string) {
				if err := syscall.Mkfifo(p, 0o600); err != nil {
					t.Fatal(err)
				}
			}},
		{name: "gone", want: transcribe.Unreadable, says: "no such file", make: func(string) {}},
		{name: "german track", want: transcribe.UnsupportedLanguage, says: `"de"`,
			make: func(p string) { tone(t, p, "-metadata:s:a:0", "language=ger") }},
		{name: "german wanted", want: transcribe.UnsupportedLanguage, says: `"de"`,
			req: transcribe.Request{Language: "de-CH"}, make: func(p string) { tone(t, p) }},
		{name: "no language", want: transcribe.UnsupportedLanguage, says: "ISO 639",
			req: transcribe.Request{Language: "tlhIngan Hol"}, make: func(p string) { tone(t, p) }},
		{name: "whisper without model", want: transcribe.EngineMissing, says: "ggml",
			req: transcribe.Request{Engine: "whisper"}, make: func(p string) { tone(t, p) }},
		{name: "no server", want: transcribe.EngineMissing, says: "no transcription server",
			req: transcribe.Request{Engine: "openai"}, make: func(p string) { tone(t, p) }},
		{name: "unheard-of engine", want: transcribe.EngineMissing, says: "unknown transcription engine",
			req: transcribe.Request{Engine: "dragon"}, make: func(p string) { tone(t, p) }},
	}
	tr := newTranscriber(t, transcribe.Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.req.Video = filepath.Join(dir, test.name+".mp4")
			test.make(test.req.Video)
			test.req.WorkDir = t.TempDir()
			got := run(t, tr, test.req)
			wantState(t, got, test.want)
			if !strings.Contains(got.Message, test.says) {
				t.Errorf("message %q does not say %q", got.Message, test.says)
			}
			if left := transcribe.Sidecars(test.req.Video); len(left) != 0 {
				t.Errorf("sidecars %q were written", left)
			}
			if left, _ := os.ReadDir(test.req.WorkDir); len(left) != 0 {
				t.Errorf("%d things left in the work folder", len(left))
			}
		})
	}
}

func TestMissingPrograms(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	video := filepath.Join(t.TempDir(), "talk.mp4")
	tone(t, video)
	tests := []struct {
		name string
		set  func(*transcribe.Config)
		says string
	}{
		{"ffprobe", func(c *transcribe.Config) { c.FFprobe = "/nowhere/ffprobe" }, "apt-get install -y ffmpeg"},
		{"ffmpeg", func(c *transcribe.Config) { c.FFmpeg = "/nowhere/ffmpeg" }, "apt-get install -y ffmpeg"},
		{"pocketsphinx", func(c *transcribe.Config) { c.Pocketsphinx.Batch = "no-such-program" },
			"apt-get install -y pocketsphinx pocketsphinx-en-us"},
		{"model", func(c *transcribe.Config) { c.Pocketsphinx.Model = "/nowhere" },
			"apt-get install -y pocketsphinx pocketsphinx-en-us"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			argv, _ := countingEngine(t)
			cfg := transcribe.Config{Command: argv, Engine: "command"}
			if test.name == "pocketsphinx" || test.name == "model" {
				cfg.Engine = "auto"
			}
			test.set(&cfg)
			got := run(t, newTranscriber(t, cfg), transcribe.Request{Video: video})
			wantState(t, got, transcribe.EngineMissing)
			if !strings.Contains(got.Message, test.says) {
				t.Errorf("message %q does not say %q", got.Message, test.says)
			}
		})
	}
}

// TestVideoChanges throws the text away when the video is another one by now.
func TestVideoChanges(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	video := filepath.Join(t.TempDir(), "talk.mp4")
	tone(t, video)
	engine := script(t, "engine", "echo more >>'"+video+"'; echo '{}'")
	tr := newTranscriber(t, transcribe.Config{Engine: "command", Command: []string{engine}})
	got := run(t, tr, transcribe.Request{Video: video})
	wantState(t, got, transcribe.Failed)
	if left := transcribe.Sidecars(video); len(left) != 0 {
		t.Errorf("sidecars %q were written", left)
	}
}

// TestProbe checks that the doctor names every part and says what to do about those
// that are missing.
func TestProbe(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	cfg := transcribe.Config{FFprobe: "/nowhere/ffprobe"}
	cfg.Pocketsphinx.Batch = "/nowhere/batch"
	var names []string
	for _, s := range newTranscriber(t, cfg).Probe(t.Context()) {
		names = append(names, s.Name)
		if s.Usable != (s.Name == "ffmpeg") {
			t.Errorf("%s: usable %v", s.Name, s.Usable)
		}
		if s.Usable == (s.Remedy != "") {
			t.Errorf("%s: usable %v, remedy %q", s.Name, s.Usable, s.Remedy)
		}
		if s.Name == "ffmpeg" && s.Version == "" {
			t.Error("ffmpeg has no version")
		}
	}
	if got := strings.Join(names, " "); got != "ffmpeg ffprobe openai whisper pocketsphinx command" {
		t.Errorf("names %q", got)
	}
}

func TestNewRefuses(t *testing.T) {
	tests := map[string]transcribe.Config{
		"engine":   {Engine: "dragon"},
		"language": {Language: "no such"},
		"url":      {OpenAI: struct{ URL, Model, Key string }{URL: "host:8000"}},
	}
	for name, cfg := range tests {
		if _, err := transcribe.New(cfg); err == nil {
			t.Errorf("%s: New took a bad setting", name)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// half writes the first half of a file.
func half(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(data[:len(data)/2]))
}
