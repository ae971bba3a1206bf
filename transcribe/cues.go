package transcribe

import (
	"strings"
	"unicode/utf8"
)

// What fits on a screen and can be read in time.
const (
	cueLines    = 2
	cueColumns  = 42
	cueLongest  = Offset(7000)
	cueShortest = Offset(1000)
	cueGap      = Offset(800) // a pause that ends a cue
)

// cue is one subtitle: at most two lines of 42 characters.
type cue struct {
	start, end Offset
	lines      []string
}

// cuesOf cuts the segments into cues that do not overlap and end with the video.
func cuesOf(segments []Segment, length Offset) []cue {
	var cues []cue
	for _, s := range segments {
		if s.Dropped {
			continue
		}
		var open []Word
		for _, w := range s.timedWords() {
			if len(open) > 0 && !fits(open, w) {
				cues = append(cues, cueOf(open))
				open = nil
			}
			open = append(open, w)
		}
		if len(open) > 0 {
			cues = append(cues, cueOf(open))
		}
	}
	return spread(cues, length)
}

// fits reports whether one more word can be in a cue.
func fits(open []Word, w Word) bool {
	return w.Start-open[len(open)-1].End <= cueGap &&
		w.End-open[0].Start <= cueLongest &&
		len(wrap(append(open[:len(open):len(open)], w))) <= cueLines
}

func cueOf(words []Word) cue {
	start := words[0].Start
	end := min(words[len(words)-1].End, start+cueLongest)
	return cue{start: start, end: end, lines: wrap(words)}
}

// wrap breaks words into lines of at most cueColumns characters.
func wrap(words []Word) []string {
	var lines []string
	first := 0
	for i := range words {
		if utf8.RuneCountInString(joinWords(words[first:i+1])) > cueColumns && i > first {
			lines = append(lines, joinWords(words[first:i]))
			first = i
		}
	}
	return append(lines, joinWords(words[first:]))
}

// spread makes cues follow one another: none before the end of the last, each at
// least a second long where the next leaves room.
func spread(cues []cue, length Offset) []cue {
	var kept []cue
	for i, c := range cues {
		if n := len(kept); n > 0 {
			c.start = max(c.start, kept[n-1].end)
		}
		room := max(length, c.end)
		if i+1 < len(cues) {
			room = min(room, max(cues[i+1].start, c.end))
		}
		c.end = max(c.end, min(c.start+cueShortest, room))
		if c.end > c.start {
			kept = append(kept, c)
		}
	}
	return kept
}

// timedWords are the segment's words, none longer than a line. Without word times
// the text is spread evenly over the segment.
func (s Segment) timedWords() []Word {
	words := s.Words
	if len(words) == 0 {
		words = evenly(strings.Fields(s.Text), s.Start, s.End)
	}
	var short []Word
	for _, w := range words {
		short = append(short, evenly(chop(w.Text), w.Start, w.End)...)
	}
	return short
}

// evenly gives each text the share of the time that its length is of the whole.
func evenly(texts []string, start, end Offset) []Word {
	total := Offset(utf8.RuneCountInString(strings.Join(texts, "")))
	if total == 0 {
		return nil
	}
	words := make([]Word, len(texts))
	done := Offset(0)
	for i, text := range texts {
		words[i] = Word{Text: text, Start: start + (end-start)*done/total}
		done += Offset(utf8.RuneCountInString(text))
		words[i].End = start + (end-start)*done/total
	}
	return words
}

// chop cuts a text that is longer than a line.
func chop(text string) []string {
	runes := []rune(text)
	var parts []string
	for len(runes) > cueColumns {
		parts = append(parts, string(runes[:cueColumns]))
		runes = runes[cueColumns:]
	}
	return append(parts, string(runes))
}
