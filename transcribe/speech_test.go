package transcribe_test

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/transcribe"
)

// TestSpeechVideo takes a real video through real ffmpeg and pocketsphinx.
func TestSpeechVideo(t *testing.T) {
	needPrograms(t, "ffmpeg", "ffprobe", "pocketsphinx_batch")
	video := filepath.Join(t.TempDir(), "talk.mp4")
	speechVideo(t, video)
	work := t.TempDir()
	var phases []string
	result, err := newTranscriber(t, transcribe.Config{}).Run(t.Context(),
		transcribe.Request{Video: video, Key: "bafytalk", WorkDir: work},
		func(p transcribe.Progress) {
			if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
				phases = append(phases, p.Phase)
			}
		})
	if err != nil {
		t.Fatal(err)
	}
	wantState(t, result, transcribe.Done)
	if result.Engine != "pocketsphinx" || result.Language != "en" || result.Quality != transcribe.QualityHigh {
		t.Errorf("engine %s, language %s, quality %s", result.Engine, result.Language, result.Quality)
	}
	if math.Abs(result.Seconds-8.5) > 0.2 {
		t.Errorf("%.3f seconds of audio, want about 8.5", result.Seconds)
	}
	if want := []string{"probing", "extracting", "segmenting", "transcribing", "writing"}; !slices.Equal(phases, want) {
		t.Errorf("phases %v, want %v", phases, want)
	}
	if left, _ := os.ReadDir(work); len(left) != 0 {
		t.Errorf("%d things left in the work folder", len(left))
	}
	checkSpeech(t, readJSON(t, video), 0)
	checkSubtitlesOpen(t, filepath.Join(filepath.Dir(video), "talk.en.srt"))
	checkSubtitlesOpen(t, filepath.Join(filepath.Dir(video), "talk.en.vtt"))
}

// checkSpeech compares a transcript with what is said in the video of speech, which
// starts delay seconds later than usual.
func checkSpeech(t *testing.T, transcript *transcribe.Transcript, delay float64) {
	t.Helper()
	said := append(slices.Clone(firstSentence), secondSentence...)
	heard := strings.Fields(strings.ToLower(transcript.Text))
	if wrong := editDistance(said, heard); 4*wrong > len(said) {
		t.Errorf("%d of %d words wrong: %q", wrong, len(said), transcript.Text)
	}
	if len(transcript.Segments) != 2 {
		t.Fatalf("%d segments, want 2", len(transcript.Segments))
	}
	for i, want := range []float64{firstStart, secondStart} {
		got := transcript.Segments[i].Start.Duration().Seconds()
		if math.Abs(got-want-delay) > 0.5 {
			t.Errorf("segment %d starts at %.2f s, want %.2f", i, got, want+delay)
		}
	}
	for _, s := range transcript.Segments {
		for _, w := range s.Words {
			if w.Confidence <= 0 || w.End < w.Start || w.Start < s.Start || w.End > s.End {
				t.Errorf("word %+v does not fit its segment %v-%v", w, s.Start, s.End)
			}
		}
	}
}

// checkSubtitlesOpen has ffmpeg read a subtitle file.
func checkSubtitlesOpen(t *testing.T, path string) {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-i", path, "-f", "srt", "-").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "-->") {
		t.Errorf("ffmpeg does not open %s: %v\n%s", path, err, out)
	}
}

// editDistance counts the words to change, add or take away.
func editDistance(a, b []string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range b {
			cost := diagonal
			if x != y {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
