package transcribe_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/transcribe"
)

// longVideo makes a video with the two sentences said again and again.
func longVideo(t *testing.T, times string) string {
	t.Helper()
	dir := t.TempDir()
	speechVideo(t, filepath.Join(dir, "once.mp4"))
	long := filepath.Join(dir, "long.mkv")
	ffmpeg(t, "-stream_loop", times, "-i", filepath.Join(dir, "once.mp4"), "-c", "copy", long)
	return long
}

// TestKilledRunGoesOn kills a run with -9 in its middle and runs it again.
func TestKilledRunGoesOn(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe", "pocketsphinx_batch")
	video, work := longVideo(t, "2"), t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "TRANSCRIBE_TEST_CHILD="+video, "TRANSCRIBE_TEST_WORK="+work)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "two finished spans", func() bool { return finishedSpans(t, work) >= 2 })
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the child ended before it was killed")
	}
	if runtime.GOOS == "linux" {
		waitFor(t, "the engine to die with its parent", func() bool { return processesOf(t, work) == 0 })
	}
	before := finishedSpans(t, work)
	tearLastLine(t, work)

	var first transcribe.Progress
	tr := newTranscriber(t, transcribe.Config{Engine: "pocketsphinx"})
	result, err := tr.Run(t.Context(), transcribe.Request{Video: video, Key: "bafy-child", WorkDir: work},
		func(p transcribe.Progress) {
			if p.Phase == transcribe.PhaseExtracting {
				t.Error("the audio was taken out again")
			}
			if p.Phase == transcribe.PhaseTranscribing && first.Phase == "" {
				first = p
			}
		})
	if err != nil {
		t.Fatal(err)
	}
	wantState(t, result, transcribe.Done)
	if first.Done == 0 || first.Done >= first.Total {
		t.Errorf("the second run began at %v of %v with %d spans finished", first.Done, first.Total, before)
	}
	want := strings.Repeat(strings.Join(append(firstSentence[:len(firstSentence):len(firstSentence)], secondSentence...), " ")+" ", 3)
	heard := strings.Fields(strings.ToLower(readJSON(t, video).Text))
	if said := strings.Fields(want); 4*editDistance(said, heard) > len(said) {
		t.Errorf("too many words are wrong: %q", heard)
	}
}

// TestCancel ends a run in its middle: the context's error comes back, and no child
// is left.
func TestCancel(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	video, work := filepath.Join(t.TempDir(), "talk.mp4"), t.TempDir()
	tone(t, video)
	// An engine whose own child would go on without it.
	engine := script(t, "engine", `sh -c 'sleep 1000; :' child "$1" & wait`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tr := newTranscriber(t, transcribe.Config{Engine: "command", Command: []string{engine}})
	result := make(chan error, 1)
	go func() {
		_, err := tr.Run(ctx, transcribe.Request{Video: video, Key: "bafy", WorkDir: work}, nil)
		result <- err
	}()
	waitFor(t, "the engine", func() bool { return processesOf(t, work) >= 2 })
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	waitFor(t, "the children to go", func() bool { return processesOf(t, work) == 0 })
}

// finishedSpans counts the lines of the checkpoint.
func finishedSpans(t *testing.T, work string) int {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(work, "*", "segments.jsonl"))
	if len(files) == 0 {
		return 0
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(data), "\n")
}

// tearLastLine leaves half a line at the end of the checkpoint, as a crash would.
func tearLastLine(t *testing.T, work string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(work, "*", "segments.jsonl"))
	f, err := os.OpenFile(files[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(`{"span":5,"segments":[{"start":1.0`); err != nil {
		t.Fatal(err)
	}
}

// processesOf counts live processes that have a path in their arguments.
func processesOf(t *testing.T, path string) int {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-ww", "-o", "stat=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, path) && !strings.HasPrefix(line, "Z") && !strings.Contains(line, os.Args[0]) {
			n++
		}
	}
	return n
}

// waitFor waits for something another process does.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}
