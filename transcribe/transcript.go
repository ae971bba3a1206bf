package transcribe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// schema marks a JSON file as a transcript of ours.
const schema = "vidsync.transcript.v1"

// transcriptLimit is the largest JSON sidecar that is read.
const transcriptLimit = 256 << 20

// formats are the kinds of sidecar file. "json" holds everything; the others are
// made from it.
var formats = []string{"json", "srt", "vtt", "txt"}

// Transcript is the content of the JSON sidecar. Its first fields are those of the
// verbose_json of common transcription servers; the words are inside their segments.
type Transcript struct {
	Schema   string    `json:"schema"`
	Task     string    `json:"task"` // "transcribe"
	Language string    `json:"language"`
	Duration Offset    `json:"duration"` // of the audio
	Text     string    `json:"text"`     // of the segments that are not dropped
	Segments []Segment `json:"segments"`

	Engine     string  `json:"engine"`
	Model      string  `json:"model"`
	Options    string  `json:"options,omitempty"` // engine settings that change the text
	Quality    string  `json:"quality"`
	Confidence float64 `json:"confidence,omitempty"` // mean over all words heard

	Source  Source            `json:"source"`
	Created time.Time         `json:"created"`
	Tool    string            `json:"tool"`            // "vidsync"
	Files   map[string]string `json:"files,omitempty"` // SHA-256 of the other sidecars, by format: what we wrote, so that edited ones are left alone
}

// Source says what a transcript was made from.
type Source struct {
	Key   string `json:"key"`   // content name of the video
	Name  string `json:"name"`  // file name of the video
	Track int    `json:"track"` // stream number of the audio in it
}

// ReadTranscript reads a JSON sidecar. A file that is something else is an error.
func ReadTranscript(path string) (*Transcript, error) {
	data, err := readLimited(path, transcriptLimit)
	if err != nil {
		return nil, fmt.Errorf("read transcript: %w", err)
	}
	t, err := parseTranscript(data)
	if err != nil {
		return nil, fmt.Errorf("read transcript %s: %w", path, err)
	}
	return t, nil
}

// parseTranscript also cleans the segments: anyone could have written the file.
func parseTranscript(data []byte) (*Transcript, error) {
	var t Transcript
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, err
	}
	if t.Schema != schema {
		return nil, fmt.Errorf("schema %.40q is not %s", t.Schema, schema)
	}
	anywhere := span{stretch: stretch{End: maxOffset}}
	for i, s := range t.Segments {
		t.Segments[i] = s.within(anywhere)
	}
	return &t, nil
}

// Render writes the transcript in a format: "srt", "vtt", "txt" or "json". Dropped
// segments are in JSON only.
func (t *Transcript) Render(format string) ([]byte, error) {
	switch format {
	case "srt":
		return srt(cuesOf(t.Segments, t.Duration)), nil
	case "vtt":
		return vtt(cuesOf(t.Segments, t.Duration), t.note()), nil
	case "txt":
		return plainText(t.Segments), nil
	case "json":
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", " ")
		err := encoder.Encode(t)
		return b.Bytes(), err
	}
	return nil, fmt.Errorf("unknown transcript format %q", format)
}

// note tells a reader what the text is.
func (t *Transcript) note() string {
	note := fmt.Sprintf("Machine transcript by vidsync, engine %s, model %s, quality %s.", t.Engine, t.Model, t.Quality)
	if t.Quality == QualityNone {
		note += " No speech was recognised well enough to show."
	}
	return note
}

// shown counts the segments that are not dropped.
func (t *Transcript) shown() int {
	n := 0
	for _, s := range t.Segments {
		if !s.Dropped {
			n++
		}
	}
	return n
}

// finish numbers and grades the segments and fills in what follows from them.
func (t *Transcript) finish() {
	t.Schema, t.Task, t.Tool = schema, "transcribe", "vidsync"
	if t.Segments == nil {
		t.Segments = []Segment{}
	}
	for i := range t.Segments {
		t.Segments[i].ID = i
	}
	t.Quality, t.Confidence = grade(t.Segments)
	t.Text = strings.Join(strings.Fields(string(plainText(t.Segments))), " ")
}
