package transcribe_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/transcribe"
)

// TestSidecars goes through what can stand beside a video: nothing, our own files,
// someone else's, another video's.
func TestSidecars(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	dir := t.TempDir()
	video := filepath.Join(dir, "talk.mp4")
	tone(t, video)
	argv, calls := countingEngine(t)
	tr := newTranscriber(t, transcribe.Config{Engine: "command", Command: argv})
	wantRun := func(req transcribe.Request, wantCalls int, wantFiles ...string) {
		t.Helper()
		before := calls()
		got := run(t, tr, req)
		wantState(t, got, transcribe.Done)
		if n := calls() - before; n != wantCalls {
			t.Errorf("%d calls of the engine, want %d", n, wantCalls)
		}
		if names := baseNames(got.Files); !slices.Equal(names, wantFiles) {
			t.Errorf("files %q, want %q", names, wantFiles)
		}
	}
	first := transcribe.Request{Video: video, Key: "bafyone"}
	wantRun(first, 1, "talk.en.json", "talk.en.srt", "talk.en.vtt", "talk.en.txt")
	wantRun(first, 0, "talk.en.json", "talk.en.srt", "talk.en.vtt", "talk.en.txt")

	// A file that vanished comes back without the engine.
	remove(t, filepath.Join(dir, "talk.en.srt"))
	wantRun(first, 0, "talk.en.json", "talk.en.srt", "talk.en.vtt", "talk.en.txt")

	// New content under the same name replaces the old.
	second := transcribe.Request{Video: video, Key: "bafytwo"}
	wantRun(second, 1, "talk.en.json", "talk.en.srt", "talk.en.vtt", "talk.en.txt")
	if got := readJSON(t, video).Source; got.Key != "bafytwo" || got.Name != "talk.mp4" {
		t.Errorf("source %+v", got)
	}

	// A second video with the same base name.
	other := filepath.Join(dir, "talk.mkv")
	tone(t, other)
	wantRun(transcribe.Request{Video: other}, 1,
		"talk.mkv.en.json", "talk.mkv.en.srt", "talk.mkv.en.vtt", "talk.mkv.en.txt")
	if got := len(transcribe.Sidecars(video)); got != 4 {
		t.Errorf("%d sidecars of the first video, want 4", got)
	}

	// Someone corrected the subtitles: they stay.
	corrected := filepath.Join(dir, "talk.en.srt")
	write(t, corrected, "1\n00:00:00,000 --> 00:00:01,000\nHello there!\n")
	wantRun(transcribe.Request{Video: video, Key: "bafythree"}, 1,
		"talk.en.vidsync.json", "talk.en.vidsync.srt", "talk.en.vidsync.vtt", "talk.en.vidsync.txt")
	if data, _ := os.ReadFile(corrected); !strings.Contains(string(data), "Hello there!") {
		t.Error("the corrected subtitles were overwritten")
	}
	if slices.Contains(transcribe.Sidecars(video), corrected) {
		t.Error("the corrected subtitles still count as ours")
	}
}

// TestForeignSubtitles keeps files that were there first, also when they only look
// like ours.
func TestForeignSubtitles(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	dir := t.TempDir()
	video := filepath.Join(dir, "talk.mp4")
	tone(t, video)
	foreign := map[string]string{
		"talk.en.srt":          "1\n00:00:00,000 --> 00:00:01,000\nby hand\n",
		"talk.en.vidsync.json": `{"schema":"something else"}`,
	}
	for name, text := range foreign {
		write(t, filepath.Join(dir, name), text)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "talk.en.vidsync2.txt")); err != nil {
		t.Fatal(err)
	}
	argv, _ := countingEngine(t)
	got := run(t, newTranscriber(t, transcribe.Config{Engine: "command", Command: argv}), transcribe.Request{Video: video})
	wantState(t, got, transcribe.Done)
	want := []string{"talk.en.vidsync3.json", "talk.en.vidsync3.srt", "talk.en.vidsync3.vtt", "talk.en.vidsync3.txt"}
	if names := baseNames(got.Files); !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
	for name, text := range foreign {
		if data, _ := os.ReadFile(filepath.Join(dir, name)); string(data) != text {
			t.Errorf("%s was changed", name)
		}
	}
}

func TestFind(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	video := filepath.Join(t.TempDir(), "talk.mp4")
	tone(t, video)
	if _, err := transcribe.Find(video, "", "srt"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: error %v, want fs.ErrNotExist", err)
	}
	argv, _ := countingEngine(t)
	run(t, newTranscriber(t, transcribe.Config{Engine: "command", Command: argv}), transcribe.Request{Video: video})
	for _, language := range []string{"", "en", "eng", "English"} {
		path, err := transcribe.Find(video, language, "vtt")
		if err != nil || filepath.Base(path) != "talk.en.vtt" {
			t.Errorf("Find %q: %q, %v", language, path, err)
		}
	}
	if _, err := transcribe.Find(video, "fr", "srt"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("french: error %v, want fs.ErrNotExist", err)
	}
	if _, err := transcribe.Find(video, "", "../../etc/passwd"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unknown format: error %v", err)
	}
}

// TestLongName checks that a name at the file system's limit still gets sidecars.
func TestLongName(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	video := filepath.Join(t.TempDir(), strings.Repeat("ä", 125)+".mp4")
	tone(t, video)
	argv, calls := countingEngine(t)
	tr := newTranscriber(t, transcribe.Config{Engine: "command", Command: argv})
	wantState(t, run(t, tr, transcribe.Request{Video: video}), transcribe.Done)
	wantState(t, run(t, tr, transcribe.Request{Video: video}), transcribe.Done)
	if calls() != 1 || len(transcribe.Sidecars(video)) != 4 {
		t.Errorf("%d calls, sidecars %q", calls(), transcribe.Sidecars(video))
	}
}

// TestReadOnlyFolder is our own disk trouble: an error, and the work is kept.
func TestReadOnlyFolder(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	if os.Getuid() == 0 {
		t.Skip("root may write anywhere")
	}
	dir := t.TempDir()
	video := filepath.Join(dir, "talk.mp4")
	tone(t, video)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o755) })
	argv, calls := countingEngine(t)
	tr := newTranscriber(t, transcribe.Config{Engine: "command", Command: argv})
	req := transcribe.Request{Video: video, Key: "bafy", WorkDir: t.TempDir()}
	if _, err := tr.Run(t.Context(), req, nil); !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("error %v, want fs.ErrPermission", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	wantState(t, run(t, tr, req), transcribe.Done)
	if calls() != 1 {
		t.Errorf("%d calls of the engine, want 1", calls())
	}
}

// TestWorkDirTrouble is our own disk trouble too.
func TestWorkDirTrouble(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	video := filepath.Join(t.TempDir(), "talk.mp4")
	tone(t, video)
	argv, calls := countingEngine(t)
	tr := newTranscriber(t, transcribe.Config{Engine: "command", Command: argv})
	for name, dir := range map[string]string{"a file": video, "none": ""} {
		result, err := tr.Run(t.Context(), transcribe.Request{Video: video, Key: "bafy", WorkDir: dir}, nil)
		if err == nil || result.State != "" || calls() != 0 {
			t.Errorf("%s: state %q, error %v", name, result.State, err)
		}
	}
}

func baseNames(paths []string) []string {
	names := make([]string, len(paths))
	for i, path := range paths {
		names[i] = filepath.Base(path)
	}
	return names
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
