package transcribe_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vidsync/vidsync/transcribe"
)

// What servers answer for the sound in the video of tone: it begins at 1.7 s.
const (
	wordsBeside = `{"task":"transcribe","language":"english","duration":2.6,"text":"Hello, there.",
 "segments":[{"id":0,"start":0.5,"end":1.5,"text":" Hello, there.","avg_logprob":-0.2,"no_speech_prob":0.01}],
 "words":[{"word":"Hello","start":0.5,"end":0.9},{"word":"there","start":1.0,"end":1.5}]}`
	wordsInside = `{"language":"en","detected_language":"english","text":"Hello, there.",
 "segments":[{"id":0,"start":0.5,"end":1.5,"text":" Hello, there.","words":[
  {"word":" Hello,","start":0.5,"end":0.9,"t_dtw":-1,"probability":0.9},{"word":" there.","start":1.0,"end":1.5,"probability":0.7}]}]}`
	noWords  = `{"language":"en","text":"Hello, there.","segments":[{"start":0.5,"end":1.5,"text":"Hello, there."}]}`
	textOnly = `{"text":"Hello, there."}`
)

// server is a transcription server that answers as told and remembers its requests.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	paths []string
	forms []map[string][]string
}

func newServer(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			http.NotFound(w, r) // no list of models
			return
		}
		if err := r.ParseMultipartForm(32 << 20); err != nil {
			t.Errorf("form: %v", err)
		}
		s.mu.Lock()
		s.paths = append(s.paths, r.URL.Path)
		s.forms = append(s.forms, r.MultipartForm.Value)
		n := len(s.paths)
		s.mu.Unlock()
		answer(n, w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) config() transcribe.Config {
	cfg := transcribe.Config{Engine: "openai"}
	cfg.OpenAI.URL, cfg.OpenAI.Key = s.URL+"/v1/", "secret"
	return cfg
}

func TestServerDialects(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	tests := []struct {
		name       string
		reply      string
		words      int
		start      float64 // of the segment, in the video
		confidence float64
	}{
		{"words beside segments", wordsBeside, 2, 2.2, 0.819},
		{"words in segments", wordsInside, 2, 2.2, 0.8},
		{"no words", noWords, 0, 2.2, 0},
		{"no times", textOnly, 0, 1.7, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			video := filepath.Join(t.TempDir(), "talk.mp4")
			tone(t, video)
			s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Authorization"); got != "Bearer secret" {
					t.Errorf("authorization %q", got)
				}
				checkUpload(t, r)
				io.WriteString(w, test.reply)
			})
			wantState(t, run(t, newTranscriber(t, s.config()), transcribe.Request{Video: video}), transcribe.Done)
			transcript := readJSON(t, video)
			if len(transcript.Segments) != 1 || transcript.Text != "Hello, there." {
				t.Fatalf("transcript %+v", transcript)
			}
			segment := transcript.Segments[0]
			if got := segment.Start.Duration().Seconds(); got < test.start-0.1 || got > test.start+0.1 {
				t.Errorf("starts at %.2f s, want %.2f", got, test.start)
			}
			if len(segment.Words) != test.words || segment.Confidence != test.confidence {
				t.Errorf("%d words, confidence %v; want %d, %v", len(segment.Words), segment.Confidence, test.words, test.confidence)
			}
			if test.words > 0 && segment.Words[1].Text != "there." {
				t.Errorf("word %q lost its punctuation", segment.Words[1].Text)
			}
			if want := map[bool]string{true: "und", false: "en"}[test.reply == textOnly]; transcript.Language != want {
				t.Errorf("language %q, want %q", transcript.Language, want)
			}
		})
	}
}

// checkUpload looks at what a server gets: a WAV file and the form's fields.
func checkUpload(t *testing.T, r *http.Request) {
	t.Helper()
	form := r.MultipartForm.Value
	if !slices.Equal(form["timestamp_granularities[]"], []string{"segment", "word"}) ||
		!slices.Equal(form["response_format"], []string{"verbose_json"}) || !slices.Equal(form["model"], []string{"whisper-1"}) {
		t.Errorf("form %v", form)
	}
	file, _, err := r.FormFile("file")
	if err != nil {
		t.Error(err)
		return
	}
	defer file.Close()
	data, err := io.ReadAll(file)
	if err != nil || len(data) < 44+2*16000 || string(data[:4]) != "RIFF" || string(data[36:40]) != "data" {
		t.Errorf("upload of %d bytes is no WAV file: %v", len(data), err)
	}
}

// TestServerTrouble has servers that fail, for good or for now.
func TestServerTrouble(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	fail := func(code int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(code)
			io.WriteString(w, body)
		}
	}
	cut := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, wordsBeside[:100])
	}
	good := func(w http.ResponseWriter) { io.WriteString(w, wordsBeside) }
	tests := []struct {
		name     string
		answers  []func(http.ResponseWriter) // the last one again and again
		want     transcribe.State
		requests int
	}{
		{"bad key", []func(http.ResponseWriter){fail(401, "no")}, transcribe.EngineMissing, 1},
		{"too large", []func(http.ResponseWriter){fail(413, "too large")}, transcribe.Failed, 1},
		{"bad request", []func(http.ResponseWriter){fail(400, "what?")}, transcribe.Failed, 1},
		{"model missing", []func(http.ResponseWriter){fail(404, "Model 'x' is not installed locally")}, transcribe.EngineMissing, 1},
		{"busy, then good", []func(http.ResponseWriter){fail(429, "busy"), fail(503, "busy"), good}, transcribe.Done, 3},
		{"always busy", []func(http.ResponseWriter){fail(429, "busy")}, transcribe.Failed, 5},
		{"cut off, then good", []func(http.ResponseWriter){cut, good}, transcribe.Done, 2},
		{"no JSON", []func(http.ResponseWriter){fail(200, "<html>")}, transcribe.Failed, 1},
		{"redirect", []func(http.ResponseWriter){fail(307, "")}, transcribe.Failed, 1},
		{"no verbose_json", []func(http.ResponseWriter){
			fail(400, `{"error":{"message":"response_format 'verbose_json' is not compatible"}}`),
			func(w http.ResponseWriter) { io.WriteString(w, textOnly) }}, transcribe.Done, 2},
		{"whisper.cpp's path", []func(http.ResponseWriter){fail(404, "File Not Found"), good}, transcribe.Done, 2},
		{"no path at all", []func(http.ResponseWriter){fail(404, "File Not Found")}, transcribe.EngineMissing, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			video := filepath.Join(t.TempDir(), "talk.mp4")
			tone(t, video)
			s := newServer(t, func(n int, w http.ResponseWriter, _ *http.Request) {
				test.answers[min(n, len(test.answers))-1](w)
			})
			got := run(t, newTranscriber(t, s.config()), transcribe.Request{Video: video})
			wantState(t, got, test.want)
			if len(s.paths) != test.requests {
				t.Errorf("%d requests, want %d", len(s.paths), test.requests)
			}
			if test.name == "whisper.cpp's path" && s.paths[1] != "/inference" {
				t.Errorf("second path %q", s.paths[1])
			}
			if test.name == "no verbose_json" && s.forms[1]["response_format"][0] != "json" {
				t.Errorf("second form %v", s.forms[1])
			}
		})
	}
}

// TestServerSmallUploads gives a server that refuses long files the speech in parts,
// and keeps their times.
func TestServerSmallUploads(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	dir := t.TempDir()
	video := filepath.Join(dir, "talk.mkv")
	tone(t, filepath.Join(dir, "once.mp4"))
	ffmpeg(t, "-stream_loop", "1", "-i", filepath.Join(dir, "once.mp4"), "-c", "copy", video)
	s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if file := r.MultipartForm.File["file"][0]; file.Size > 3*32000 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		io.WriteString(w, noWords)
	})
	wantState(t, run(t, newTranscriber(t, s.config()), transcribe.Request{Video: video}), transcribe.Done)
	var starts []string
	for _, segment := range readJSON(t, video).Segments {
		starts = append(starts, fmt.Sprintf("%.0f", segment.Start.Duration().Seconds()))
	}
	if got := strings.Join(starts, " "); got != "2 8" || len(s.paths) != 3 {
		t.Errorf("segments start at %s s after %d requests, want 2 8 after 3", got, len(s.paths))
	}
}

// TestAutoPrefersServer takes the server while it answers, and what is installed
// when it does not.
func TestAutoPrefersServer(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe", "pocketsphinx_batch")
	video := filepath.Join(t.TempDir(), "talk.mp4")
	tone(t, video)
	s := newServer(t, func(_ int, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, wordsInside) })
	cfg := s.config()
	cfg.Engine = "auto"
	tr := newTranscriber(t, cfg)
	if got := run(t, tr, transcribe.Request{Video: video}); got.State != transcribe.Done || got.Engine != "openai" {
		t.Errorf("with a server: %+v", got)
	}
	s.Close()
	if got := run(t, tr, transcribe.Request{Video: video, Language: "de"}); got.State != transcribe.UnsupportedLanguage {
		t.Errorf("without, in German: %+v", got)
	}
	if got := run(t, tr, transcribe.Request{Video: video, Language: "en", Key: "other"}); got.State != transcribe.Done || got.Engine != "pocketsphinx" {
		t.Errorf("without, in English: %+v", got)
	}
}
