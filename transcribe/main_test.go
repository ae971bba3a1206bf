package transcribe_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/vidsync/vidsync/transcribe"
)

// TestMain turns the test binary into a child that runs one transcription when it is
// asked to; tests kill it.
func TestMain(m *testing.M) {
	if video := os.Getenv("TRANSCRIBE_TEST_CHILD"); video != "" {
		os.Exit(runChild(video, os.Getenv("TRANSCRIBE_TEST_WORK")))
	}
	goleak.VerifyTestMain(m)
}

// needPrograms skips a test on machines without the programs; never in CI.
func needPrograms(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed: apt-get install -y ffmpeg pocketsphinx pocketsphinx-en-us", name)
		}
		t.Skipf("%s is not installed: apt-get install -y ffmpeg pocketsphinx pocketsphinx-en-us", name)
	}
}

// What is said in the video of speech, and when.
var (
	firstSentence  = strings.Fields("the boy was there when the sun rose")
	secondSentence = strings.Fields("thank you very much for watching and see you again next week")
)

const (
	firstStart  = 1.5
	secondStart = 5.1
)

// speechVideo makes a video of nine seconds with two spoken sentences.
func speechVideo(t *testing.T, path string, extra ...string) {
	t.Helper()
	args := []string{
		"-f", "lavfi", "-i", "flite=text='" + strings.Join(firstSentence, " ") + "':voice=slt",
		"-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono:d=1.5",
		"-f", "lavfi", "-i", "flite=text='" + strings.Join(secondSentence, " ") + "':voice=slt",
		"-f", "lavfi", "-i", "testsrc=size=320x180:rate=10:d=9",
		"-filter_complex", "[1]asplit=2[s1][s2];[s1][0][s2][2]concat=n=4:v=0:a=1[a]",
		"-map", "3:v", "-map", "[a]", "-shortest",
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac",
		"-bitexact", "-flags:a", "+bitexact", "-flags:v", "+bitexact",
	}
	ffmpeg(t, append(append(args, extra...), path)...)
}

func ffmpeg(t *testing.T, args ...string) {
	t.Helper()
	args = append([]string{"-nostdin", "-v", "error", "-y"}, args...)
	if out, err := exec.Command("ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
}

func newTranscriber(t *testing.T, cfg transcribe.Config) *transcribe.Transcriber {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	tr, err := transcribe.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// run transcribes a video with a work folder beside the test's other files.
func run(t *testing.T, tr *transcribe.Transcriber, req transcribe.Request) transcribe.Result {
	t.Helper()
	if req.WorkDir == "" {
		req.WorkDir = t.TempDir()
	}
	if req.Key == "" {
		req.Key = "bafy-" + filepath.Base(req.Video)
	}
	result, err := tr.Run(t.Context(), req, nil)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return result
}

func wantState(t *testing.T, got transcribe.Result, want transcribe.State) {
	t.Helper()
	if got.State != want {
		t.Fatalf("state %q (%s), want %q", got.State, got.Message, want)
	}
	if want != transcribe.Done && got.Message == "" {
		t.Errorf("state %q comes without a message", got.State)
	}
}

// readJSON reads the transcript beside a video.
func readJSON(t *testing.T, video string) *transcribe.Transcript {
	t.Helper()
	path, err := transcribe.Find(video, "", "json")
	if err != nil {
		t.Fatal(err)
	}
	transcript, err := transcribe.ReadTranscript(path)
	if err != nil {
		t.Fatal(err)
	}
	return transcript
}

// runChild is the child's main: one transcription with one process at a time.
func runChild(video, work string) int {
	tr, err := transcribe.New(transcribe.Config{Jobs: 1, Engine: "pocketsphinx"})
	if err != nil {
		return 2
	}
	result, err := tr.Run(context.Background(), transcribe.Request{Video: video, Key: "bafy-child", WorkDir: work}, nil)
	if err != nil || result.State != transcribe.Done {
		return 1
	}
	return 0
}
