package transcribe_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vidsync/vidsync/transcribe"
)

var update = flag.Bool("update", false, "write the golden files anew")

// segment is a segment with evenly spaced words.
func segment(start, end transcribe.Offset, text string, confidence float64) transcribe.Segment {
	s := transcribe.Segment{Start: start, End: end, Text: text, Confidence: confidence}
	fields := strings.Fields(text)
	step := (end - start) / transcribe.Offset(len(fields))
	for i, field := range fields {
		at := start + transcribe.Offset(i)*step
		s.Words = append(s.Words, transcribe.Word{Text: field, Start: at, End: at + step, Confidence: confidence})
	}
	return s
}

// awkward has everything that is hard to write: long and short cues, markup, other
// scripts, times past 99 hours, segments that overlap or touch the end.
func awkward() *transcribe.Transcript {
	dropped := segment(70_000, 71_000, "not to be shown", 0.2)
	dropped.Dropped = true
	untimed := transcribe.Segment{Start: 20_000, End: 36_000,
		Text: "a segment without word times is spread over its length, so that nobody has to read it all at once in one go"}
	const hours = 3_600_000
	return &transcribe.Transcript{
		Schema: "vidsync.transcript.v1", Task: "transcribe", Language: "en", Duration: 120 * hours,
		Segments: []transcribe.Segment{
			segment(1_000, 1_200, "Hi.", 0.9),
			segment(1_500, 12_000, "This goes on for a while, <b>bold</b> & tricky --> with marks that subtitle files give a meaning of their own", 0.8),
			segment(11_000, 13_000, "and someone cuts in", 0.5),
			untimed,
			segment(59_999, 61_000, "round 🎬 naïve", 0.7),
			segment(62_000, 63_000, "これは 長い 文 です", 0.7),
			segment(64_000, 66_000, strings.Repeat("Donaudampfschiff", 6), 0.7),
			dropped,
			segment(100*hours, 100*hours+500, "late", 0.6),
			segment(120*hours-300, 120*hours, "end", 0.6),
		},
		Text:   "as above",
		Engine: "pocketsphinx", Model: "en-us", Options: "v1", Quality: transcribe.QualityHigh, Confidence: 0.7,
		Source:  transcribe.Source{Key: "bafy", Name: "talk.mp4", Track: 1},
		Created: time.Date(2025, 5, 4, 3, 2, 1, 0, time.UTC), Tool: "vidsync",
		Files: map[string]string{"srt": "00", "txt": "01", "vtt": "02"},
	}
}

func TestRenderGolden(t *testing.T) {
	for _, format := range []string{"srt", "vtt", "txt", "json"} {
		got, err := awkward().Render(format)
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", "awkward."+format+".golden")
		if *update {
			write(t, golden, string(got))
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from %s:\n%s", format, golden, got)
		}
	}
}

// TestRenderRules checks what players rely on, for every cue.
func TestRenderRules(t *testing.T) {
	out, err := awkward().Render("srt")
	if err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(out) || bytes.Contains(out, []byte("\r")) || bytes.HasPrefix(out, []byte("\uFEFF")) {
		t.Error("srt is not plain UTF-8 with simple line ends")
	}
	last := ""
	for i, block := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n\n") {
		lines := strings.Split(block, "\n")
		if len(lines) < 3 || len(lines) > 4 {
			t.Fatalf("cue %d has %d lines: %q", i+1, len(lines), block)
		}
		start, end, ok := strings.Cut(lines[1], " --> ")
		if !ok || len(start) < len(end) && len(start) < len("00:00:00,000") {
			t.Fatalf("cue %d: times %q", i+1, lines[1])
		}
		if pad(start) >= pad(end) || pad(start) < last {
			t.Errorf("cue %d: %s after %s", i+1, lines[1], last)
		}
		last = pad(end)
		for _, line := range lines[2:] {
			if n := utf8.RuneCountInString(line); n == 0 || n > 42 {
				t.Errorf("cue %d: line of %d characters: %q", i+1, n, line)
			}
		}
	}
}

// pad makes times comparable as text.
func pad(clock string) string {
	return strings.Repeat("0", max(0, len("000:00:00,000")-len(clock))) + clock
}

// TestRenderNothing writes valid files without a cue.
func TestRenderNothing(t *testing.T) {
	empty := &transcribe.Transcript{Engine: "pocketsphinx", Model: "en-us", Quality: transcribe.QualityNone}
	for format, want := range map[string]string{
		"srt": "",
		"vtt": "WEBVTT\n\nNOTE Machine transcript by vidsync, engine pocketsphinx, model en-us, quality none. No speech was recognised well enough to show.\n",
		"txt": "",
	} {
		if got, err := empty.Render(format); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", format, got, err, want)
		}
	}
	if _, err := empty.Render("doc"); err == nil {
		t.Error("an unknown format was rendered")
	}
}

// TestGoldenOpens has ffmpeg read the golden files back.
func TestGoldenOpens(t *testing.T) {
	needPrograms(t, "ffmpeg")
	for _, format := range []string{"srt", "vtt"} {
		data, err := os.ReadFile(filepath.Join("testdata", "awkward."+format+".golden"))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "awkward."+format)
		write(t, path, string(data))
		checkSubtitlesOpen(t, path)
	}
}
