package transcribe

import (
	"cmp"
	"fmt"
	"path/filepath"
	"unicode/utf8"
)

// maxAdoptedText is how much of an engine's name and the like is taken over, in
// bytes.
const maxAdoptedText = 200

// Adopt writes sidecars beside a video from the JSON sidecar that another node
// made of it, whose bytes are hostile. key is the content name that it must be
// of. The other formats are rendered anew. Transcripts in that language that are
// ours are replaced, other files stay.
func Adopt(video, key string, data []byte) (Result, error) {
	t, err := parseTranscript(data)
	if err != nil {
		return Result{}, fmt.Errorf("adopt transcript: %w", err)
	}
	if t.Source.Key != key {
		return Result{}, fmt.Errorf("adopt transcript of %.100q for %s: it is of another video", t.Source.Key, key)
	}
	t.Language = cmp.Or(languageCode(t.Language), undetermined) // becomes part of file names
	for _, text := range []*string{&t.Engine, &t.Model, &t.Options} {
		*text = firstBytes(cleanText(*text), maxAdoptedText)
	}
	t.Source.Name, t.Files = filepath.Base(video), nil
	t.finish()
	set, err := publish(video, t)
	if err != nil {
		return Result{}, fmt.Errorf("adopt transcript: %w", err)
	}
	return resultOf(set), nil
}

// firstBytes cuts a text at a character's edge.
func firstBytes(text string, limit int) string {
	for len(text) > limit {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
