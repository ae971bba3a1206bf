package transcribe

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode"
)

// Segment is a stretch of speech and what was said in it.
type Segment struct {
	ID         int     `json:"id"` // place in the transcript, from 0
	Start      Offset  `json:"start"`
	End        Offset  `json:"end"`
	Text       string  `json:"text"`
	Confidence float64 `json:"confidence,omitempty"` // 0 < c ≤ 1; 0 is unknown
	Dropped    bool    `json:"dropped,omitempty"`    // too uncertain for the subtitle files
	Words      []Word  `json:"words,omitempty"`      // in order; none when the engine gives no word times
}

// Word is one word and when it was said.
type Word struct {
	Text       string  `json:"word"`
	Start      Offset  `json:"start"`
	End        Offset  `json:"end"`
	Confidence float64 `json:"confidence,omitempty"` // 0 < c ≤ 1; 0 is unknown
}

// repeatLimit is how often the same text may come in a row. Recognisers that lose
// their way say the same thing for minutes.
const repeatLimit = 2

// admit makes an engine's segments fit to keep. Their times count from the start of
// the span; they come out in the video's time, inside the span and in order, with
// clean text. Empty ones are gone, and so are endless repetitions.
func admit(in span, heard []Segment) []Segment {
	slices.SortStableFunc(heard, func(a, b Segment) int { return cmp.Compare(a.Start, b.Start) })
	var kept []Segment
	repeats := 0
	for _, s := range heard {
		s = s.within(in)
		if s.Text == "" {
			continue
		}
		if len(kept) > 0 && kept[len(kept)-1].Text == s.Text {
			repeats++
		} else {
			repeats = 0
		}
		if repeats < repeatLimit {
			kept = append(kept, s)
		}
	}
	return kept
}

// within cleans one segment and moves it into the span's place in the video.
func (s Segment) within(in span) Segment {
	place := func(o Offset) Offset { return min(in.Start+min(o, maxOffset), in.End) }
	var words []Word
	for _, w := range s.Words {
		w.Text = cleanText(w.Text)
		if w.Text == "" {
			continue
		}
		w.Start, w.End = place(w.Start), place(max(w.Start, w.End))
		w.Confidence = knownConfidence(w.Confidence)
		if n := len(words); n > 0 {
			w.Start = max(w.Start, words[n-1].Start)
			w.End = max(w.Start, w.End)
		}
		words = append(words, w)
	}
	s.Words = words
	s.Text = cleanText(s.Text)
	s.Start, s.End = place(s.Start), place(max(s.Start, s.End))
	if s.Text == "" {
		s.Text = joinWords(words)
	}
	s.Confidence = knownConfidence(s.Confidence)
	if s.Confidence == 0 {
		s.Confidence = meanConfidence(words)
	}
	return s
}

// knownConfidence rounds a confidence to three decimals. A measured one never
// becomes 0, which means unknown.
func knownConfidence(c float64) float64 {
	switch {
	case math.IsNaN(c) || c <= 0:
		return 0
	case c > 1:
		return 1
	}
	return max(0.001, math.Round(c*1000)/1000)
}

// meanConfidence is the mean over the words that have one, or 0.
func meanConfidence(words []Word) float64 {
	sum, n := 0.0, 0
	for _, w := range words {
		if w.Confidence > 0 {
			sum, n = sum+w.Confidence, n+1
		}
	}
	if n == 0 {
		return 0
	}
	return knownConfidence(sum / float64(n))
}

// cleanText makes text one line of printable UTF-8: white space becomes single
// blanks; control and direction characters go.
func cleanText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// joinWords writes words as running text, without blanks between words of scripts
// that use none.
func joinWords(words []Word) string {
	var b strings.Builder
	last := ' '
	for _, w := range words {
		runes := []rune(w.Text)
		if len(runes) == 0 {
			continue
		}
		if b.Len() > 0 && !(unspaced(last) && unspaced(runes[0])) {
			b.WriteByte(' ')
		}
		b.WriteString(w.Text)
		last = runes[len(runes)-1]
	}
	return b.String()
}

func unspaced(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}
