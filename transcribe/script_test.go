package transcribe_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// script writes a program that stands for an engine and returns its path.
func script(t *testing.T, name, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// countingEngine is a command that says hello for every span and writes a line to a
// file each time; calls reads the number of lines.
func countingEngine(t *testing.T) (argv []string, calls func() int) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "calls")
	argv = []string{script(t, "engine", `echo "$1" >>`+log+`
echo '{"language":"en","segments":[{"start":0.5,"end":1.5,"text":"hello there","confidence":0.9}]}'`)}
	return argv, func() int {
		data, _ := os.ReadFile(log)
		return strings.Count(string(data), "\n")
	}
}

// plainTone is the video of tone without extras, made once.
var plainTone struct {
	sync.Once
	data []byte
}

// tone makes a video of six seconds with two seconds of sound in its middle:
// something to find, made fast.
func tone(t *testing.T, path string, extra ...string) {
	t.Helper()
	if len(extra) > 0 {
		makeTone(t, path, extra...)
		return
	}
	plainTone.Do(func() {
		made := filepath.Join(t.TempDir(), "tone.mp4")
		makeTone(t, made)
		data, err := os.ReadFile(made)
		if err != nil {
			t.Fatal(err)
		}
		plainTone.data = data
	})
	write(t, path, string(plainTone.data))
}

func makeTone(t *testing.T, path string, extra ...string) {
	t.Helper()
	args := []string{"-f", "lavfi", "-i", "sine=frequency=300:duration=6",
		"-f", "lavfi", "-i", "color=size=64x36:rate=5:duration=6",
		"-af", "volume='if(between(t,2,4),1,0)':eval=frame", "-shortest"}
	ffmpeg(t, append(append(args, extra...), path)...)
}
