package transcribe_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/transcribe"
)

// whisperJSON is what whisper-cli -ojf writes, cut down.
const whisperJSON = `{"systeminfo":"x","result":{"language":"en"},"transcription":[
 {"timestamps":{"from":"00:00:00,500","to":"00:00:01,500"},"offsets":{"from":500,"to":1500},"text":" Hello there.","tokens":[
  {"text":"[_BEG_]","offsets":{"from":0,"to":0},"id":50364,"p":0.9,"t_dtw":-1},
  {"text":" Hel","offsets":{"from":500,"to":700},"id":1,"p":0.8,"t_dtw":-1},
  {"text":"lo","offsets":{"from":700,"to":900},"id":2,"p":0.6,"t_dtw":-1},
  {"text":" there","offsets":{"from":1000,"to":1400},"id":3,"p":0.9,"t_dtw":-1},
  {"text":".","offsets":{"from":1400,"to":1500},"id":4,"p":0.7,"t_dtw":-1},
  {"text":"[_TT_75]","offsets":{"from":1500,"to":1500},"id":50439,"p":0.1,"t_dtw":-1}]},
 {"offsets":{"from":1500,"to":1500},"text":" nothing","tokens":[]},
 {"offsets":{"from":1500,"to":30000},"text":" Bye.","tokens":[]}]}`

// fakeWhisper is a program with whisper-cli's way of writing results.
func fakeWhisper(t *testing.T, body string) transcribe.Config {
	t.Helper()
	cfg := transcribe.Config{Engine: "whisper"}
	cfg.Whisper.CLI = script(t, "whisper-cli", `
while [ $# -gt 0 ]; do
  case "$1" in -of) out=$2;; -f) in=$2;; esac
  shift
done
echo "whisper_print_progress_callback: progress = 102%" >&2
`+body)
	cfg.Whisper.Model = filepath.Join(t.TempDir(), "ggml-tiny.bin")
	write(t, cfg.Whisper.Model, "model")
	return cfg
}

func TestWhisper(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	video := filepath.Join(t.TempDir(), "talk.mp4")
	tone(t, video)
	cfg := fakeWhisper(t, "test -s \"$in\" || exit 3\ncat >\"$out.json\" <<'END'\n"+whisperJSON+"\nEND")
	result := run(t, newTranscriber(t, cfg), transcribe.Request{Video: video})
	wantState(t, result, transcribe.Done)
	if !strings.Contains(result.Model, "ggml-tiny.bin") || result.Language != "en" {
		t.Errorf("model %q, language %q", result.Model, result.Language)
	}
	transcript := readJSON(t, video)
	if transcript.Text != "Hello there. Bye." || len(transcript.Segments) != 2 {
		t.Fatalf("text %q", transcript.Text)
	}
	hello := transcript.Segments[0]
	if len(hello.Words) != 2 || hello.Words[0].Text != "Hello" || hello.Words[0].Confidence != 0.7 || hello.Words[1].Text != "there." {
		t.Errorf("words %+v", hello.Words)
	}
	if end := transcript.Segments[1].End.Duration().Seconds(); end > 5 {
		t.Errorf("the last segment ends at %.1f s, after its span", end)
	}
}

func TestWhisperTrouble(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	tests := []struct{ name, body, says string }{
		{"no result", "exit 0", "wrote no result"},
		{"broken result", `echo '{"transcription":' >"$out.json"`, "read result"},
		{"no model", `echo "error: failed to initialize whisper context" >&2; exit 3`, "failed to initialize whisper context"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			video := filepath.Join(t.TempDir(), "talk.mp4")
			tone(t, video)
			result := run(t, newTranscriber(t, fakeWhisper(t, test.body)), transcribe.Request{Video: video})
			wantState(t, result, transcribe.Failed)
			if !strings.Contains(result.Message, test.says) {
				t.Errorf("message %q does not say %q", result.Message, test.says)
			}
		})
	}
}

func TestWhisperEnglishModel(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	video := filepath.Join(t.TempDir(), "talk.mp4")
	tone(t, video)
	cfg := fakeWhisper(t, "exit 1")
	cfg.Whisper.Model = filepath.Join(t.TempDir(), "ggml-tiny.en.bin")
	write(t, cfg.Whisper.Model, "model")
	result := run(t, newTranscriber(t, cfg), transcribe.Request{Video: video, Language: "fr"})
	wantState(t, result, transcribe.UnsupportedLanguage)
}

func TestCommandTrouble(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	video := filepath.Join(t.TempDir(), "talk.mp4")
	tone(t, video)
	tests := []struct {
		name, body, says string
		want             transcribe.State
	}{
		{"exit code", `echo "no licence" >&2; exit 9`, "no licence", transcribe.Failed},
		{"no JSON", "echo hello", "read its answer", transcribe.Failed},
		{"endless", "cat /dev/zero", "too long", transcribe.Failed},
		{"nothing heard", "echo '{}'", "no speech", transcribe.Done},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := transcribe.Config{Engine: "command", Command: []string{script(t, "engine", test.body)}}
			result := run(t, newTranscriber(t, cfg), transcribe.Request{Video: video})
			wantState(t, result, test.want)
			if !strings.Contains(result.Message, test.says) {
				t.Errorf("message %q does not say %q", result.Message, test.says)
			}
		})
	}
}
