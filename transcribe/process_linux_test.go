package transcribe

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"bufio"
	"os"
	"os/exec"
	"path/filepath"
)

// TestProgramYields waits in the program itself until it is nice, then looks at its
// process group and at who is killed first when memory runs out.
func TestProgramYields(t *testing.T) {
	out := &boundedBuffer{limit: 100}
	script := `while [ "$(ps -o ni= -p $$ | tr -d ' ')" != 19 ]; do sleep 0.02; done
until [ "$(cat /proc/$$/oom_score_adj)" = 800 ]; do sleep 0.02; done
test "$(ps -o pgid= -p $$ | tr -d ' ')" = $$ && echo own group`
	err := program{name: "sh", args: []string{"-c", script}, limit: 2 * time.Minute, stdout: out}.run(t.Context())
	if err != nil || strings.TrimSpace(out.String()) != "own group" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestAudioDiskFull keeps our own full disk apart from a bad video.
func TestAudioDiskFull(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil && os.Getenv("CI") == "" {
		t.Skip("ffmpeg is not installed: apt-get install -y ffmpeg")
	}
	video := filepath.Join(t.TempDir(), "tone.wav")
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=60", video).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	tr, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	out := &audioWriter{to: bufio.NewWriter(full), limit: 1 << 30, wrote: func(int64) {}}
	err = tr.decode(context.Background(), video, decodeArgs(&media{}, mediaStream{}), time.Minute, out, &tailWriter{})
	if _, isStop := errors.AsType[*stop](err); isStop || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v, want no space", err)
	}
}

// TestAudioBound ends ffmpeg when there is enough audio, and keeps that.
func TestAudioBound(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil && os.Getenv("CI") == "" {
		t.Skip("ffmpeg is not installed: apt-get install -y ffmpeg")
	}
	video := filepath.Join(t.TempDir(), "tone.wav")
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=60", video).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	tr, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	out := &audioWriter{to: bufio.NewWriter(&boundedBuffer{limit: 1 << 20}), limit: 10 * bytesPerSecond, wrote: func(int64) {}}
	err = tr.decode(context.Background(), video, decodeArgs(&media{}, mediaStream{}), time.Minute, out, &tailWriter{})
	if err != nil || out.written != 10*bytesPerSecond {
		t.Errorf("%d bytes, %v", out.written, err)
	}
}
