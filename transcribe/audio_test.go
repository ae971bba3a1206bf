package transcribe_test

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/vidsync/vidsync/transcribe"
)

// TestVideoTime checks that places in the text are places in the video, however the
// audio is packed.
func TestVideoTime(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.mp4")
	tone(t, plain)
	tests := []struct {
		name  string
		make  func(path string)
		start float64 // of the sound
	}{
		{"same.mp4", func(p string) { ffmpeg(t, "-i", plain, "-c", "copy", p) }, 2},
		{"sound.wav", func(p string) { ffmpeg(t, "-i", plain, "-vn", p) }, 2},
		{"sound.mp3", func(p string) { ffmpeg(t, "-i", plain, "-vn", p) }, 2},
		{"sound.ogg", func(p string) { ffmpeg(t, "-i", plain, "-vn", "-c:a", "libvorbis", p) }, 2},
		{"sound.flac", func(p string) { ffmpeg(t, "-i", plain, "-vn", p) }, 2},
		{"broadcast.ts", func(p string) { ffmpeg(t, "-i", plain, "-c:a", "aac", p) }, 2},
		{"late.mp4", func(p string) {
			ffmpeg(t, "-i", plain, "-itsoffset", "3", "-i", plain, "-map", "0:v", "-map", "1:a", "-c", "copy", p)
		}, 5},
		{"late.mkv", func(p string) {
			ffmpeg(t, "-i", plain, "-itsoffset", "3", "-i", plain, "-map", "0:v", "-map", "1:a", "-c", "copy", p)
		}, 5},
		{"late.ts", func(p string) {
			ffmpeg(t, "-i", plain, "-itsoffset", "3", "-i", plain, "-map", "0:v", "-map", "1:a", "-c:a", "aac", p)
		}, 5},
		{"-i odd 'name' %d.mp4", func(p string) { ffmpeg(t, "-i", plain, "-c", "copy", p) }, 2},
		{"http:name.mp4", func(p string) { ffmpeg(t, "-i", plain, "-c", "copy", "file:"+p) }, 2},
	}
	// The engine hears one word, half a second long, when its audio begins.
	engine := script(t, "engine", `echo '{"segments":[{"start":0,"end":0.5,"text":"tone"}]}'`)
	tr := newTranscriber(t, transcribe.Config{Engine: "command", Command: []string{engine}, Language: "en"})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			video := filepath.Join(dir, test.name)
			test.make(video)
			wantState(t, run(t, tr, transcribe.Request{Video: video}), transcribe.Done)
			got := readJSON(t, video).Segments[0].Start.Duration().Seconds()
			if want := test.start - 0.3; math.Abs(got-want) > 0.15 { // 300 ms are added before
				t.Errorf("sound found at %.2f s, want %.2f", got, want)
			}
		})
	}
}

// TestTrackChoice has several audio tracks to choose from.
func TestTrackChoice(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe")
	video := filepath.Join(t.TempDir(), "talk.mkv")
	args := []string{"-f", "lavfi", "-i", "color=size=64x36:rate=5:duration=6"}
	for range 4 {
		args = append(args, "-f", "lavfi", "-i", "sine=frequency=300:duration=6")
	}
	ffmpeg(t, append(args, "-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map", "4",
		"-metadata:s:a:0", "language=eng", "-disposition:a:0", "comment",
		"-metadata:s:a:1", "language=ger", "-disposition:a:1", "0",
		"-metadata:s:a:2", "language=fre", "-disposition:a:2", "default",
		"-metadata:s:a:3", "language=eng", "-disposition:a:3", "0", video)...)
	engine := script(t, "engine", `echo '{"segments":[{"start":0,"end":0.5,"text":"tone"}]}'`)
	tr := newTranscriber(t, transcribe.Config{Engine: "command", Command: []string{engine}})
	for language, want := range map[string]int{"": 3, "de": 2, "en": 4, "it": 3} {
		result := run(t, tr, transcribe.Request{Video: video, Language: language, Key: "bafy" + language})
		wantState(t, result, transcribe.Done)
		path, err := transcribe.Find(video, result.Language, "json")
		if err != nil {
			t.Fatal(err)
		}
		transcript, err := transcribe.ReadTranscript(path)
		if err != nil {
			t.Fatal(err)
		}
		if transcript.Source.Track != want {
			t.Errorf("language %q: track %d, want %d", language, transcript.Source.Track, want)
		}
	}
}

// TestSilence is done with nothing to show.
func TestSilence(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe", "pocketsphinx_batch")
	video := filepath.Join(t.TempDir(), "quiet.wav")
	ffmpeg(t, "-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono:d=3", video)
	result := run(t, newTranscriber(t, transcribe.Config{}), transcribe.Request{Video: video})
	wantState(t, result, transcribe.Done)
	if result.Quality != transcribe.QualityNone || result.Segments != 0 || len(result.Files) != 4 || result.Language != "en" {
		t.Errorf("result %+v", result)
	}
}

// TestNoise must not be sold as text.
func TestNoise(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe", "pocketsphinx_batch")
	dir := t.TempDir()
	clean, video := filepath.Join(dir, "clean.mp4"), filepath.Join(dir, "noisy.mp4")
	speechVideo(t, clean)
	ffmpeg(t, "-i", clean, "-f", "lavfi", "-i", "anoisesrc=color=pink:amplitude=0.5:seed=1:duration=9",
		"-filter_complex", "[0:a][1]amix=inputs=2:normalize=0:duration=first[a]", "-map", "0:v", "-map", "[a]", "-c:v", "copy", video)
	result := run(t, newTranscriber(t, transcribe.Config{}), transcribe.Request{Video: video})
	wantState(t, result, transcribe.Done)
	if result.Quality != transcribe.QualityNone && result.Quality != transcribe.QualityLow {
		t.Errorf("quality of noise is %s: %q", result.Quality, readJSON(t, video).Text)
	}
}
