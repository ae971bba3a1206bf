package transcribe

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// Whisper's own rule for segments that are no speech.
const (
	noSpeechAbove = 0.6
	logprobBelow  = -1.0
)

// serverReply is a transcription in any of the dialects: verbose_json with words in
// the segments, beside them or nowhere, or json with nothing but the text.
type serverReply struct {
	Language string          `json:"language"` // a code or an English name
	Detected string          `json:"detected_language"`
	Text     string          `json:"text"`
	Segments []serverSegment `json:"segments"`
	Words    []serverWord    `json:"words"`
}

type serverSegment struct {
	Start        Offset       `json:"start"`
	End          Offset       `json:"end"`
	Text         string       `json:"text"`
	AvgLogprob   *float64     `json:"avg_logprob"`
	NoSpeechProb float64      `json:"no_speech_prob"`
	Words        []serverWord `json:"words"`
}

type serverWord struct {
	Word        string  `json:"word"`
	Start       Offset  `json:"start"`
	End         Offset  `json:"end"`
	Probability float64 `json:"probability"`
}

// parseServerReply reads the answer for a span. Text without any times comes with
// errNoTimes and stretches over the span.
func parseServerReply(body []byte, s span) (finished, error) {
	var reply serverReply
	if err := json.Unmarshal(body, &reply); err != nil {
		return finished{}, fmt.Errorf("read answer: %w", err)
	}
	f := finished{span: s, language: languageCode(reply.Language)}
	if reply.Detected != "" {
		f.language = languageCode(reply.Detected)
	}
	if len(reply.Segments) > 0 {
		f.segments = reply.timed()
		return f, nil
	}
	if strings.TrimSpace(reply.Text) == "" {
		return f, nil
	}
	whole := Segment{End: s.length(), Text: reply.Text, Words: wordsOf(reply.Words, reply.Text)}
	if n := len(whole.Words); n > 0 {
		whole.Start, whole.End = whole.Words[0].Start, whole.Words[n-1].End
	}
	f.segments = []Segment{whole}
	if len(whole.Words) == 0 {
		return f, errNoTimes
	}
	return f, nil
}

// timed are the segments with their words, wherever those were.
func (r serverReply) timed() []Segment {
	var segments []Segment
	loose := r.Words
	for i, s := range r.Segments {
		words := s.Words
		if len(words) == 0 {
			last := i == len(r.Segments)-1
			n := 0
			for n < len(loose) && (last || (loose[n].Start+loose[n].End)/2 < s.End) {
				n++
			}
			words, loose = loose[:n], loose[n:]
		}
		if s.silent() {
			continue
		}
		segments = append(segments, Segment{
			Start: s.Start, End: s.End, Text: s.Text, Confidence: s.confidence(), Words: wordsOf(words, s.Text),
		})
	}
	return segments
}

func (s serverSegment) silent() bool {
	return s.NoSpeechProb > noSpeechAbove && s.AvgLogprob != nil && *s.AvgLogprob < logprobBelow
}

func (s serverSegment) confidence() float64 {
	if s.AvgLogprob == nil {
		return 0
	}
	return knownConfidence(math.Exp(*s.AvgLogprob))
}

// wordsOf takes the words' spelling from the text where it has as many words: lists
// of words come without punctuation.
func wordsOf(given []serverWord, text string) []Word {
	spelled := strings.Fields(text)
	words := make([]Word, 0, len(given))
	for i, w := range given {
		word := Word{Text: w.Word, Start: w.Start, End: w.End, Confidence: w.Probability}
		if len(spelled) == len(given) {
			word.Text = spelled[i]
		}
		words = append(words, word)
	}
	return words
}
