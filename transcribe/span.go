package transcribe

// stretch is a part of the audio. Starts and ends are multiples of 10 ms.
type stretch struct {
	Start Offset `json:"start"`
	End   Offset `json:"end"`
}

func (s stretch) length() Offset { return s.End - s.Start }

// span is what an engine gets at once and what a checkpoint covers: one stretch of
// speech, or several with the pauses between them.
type span struct {
	ID int `json:"-"` // place in the list of spans
	stretch
	Parts []stretch `json:"parts"` // the stretches of speech in it
}

// longestPause is the longest pause that may lie inside a span. Whisper models make
// text up in long silences.
const longestPause = Offset(15_000)

// group joins stretches of speech into spans of at most longest. With longest 0 each
// stretch is a span of its own.
func group(speech []stretch, longest Offset) []span {
	var spans []span
	for _, s := range speech {
		if n := len(spans); n > 0 {
			last := &spans[n-1]
			if s.End-last.Start <= longest && s.Start-last.End <= longestPause {
				last.End = s.End
				last.Parts = append(last.Parts, s)
				continue
			}
		}
		spans = append(spans, span{ID: len(spans), stretch: s, Parts: []stretch{s}})
	}
	return spans
}

// alone is a span for one of the parts.
func (s span) alone(part stretch) span {
	return span{ID: s.ID, stretch: part, Parts: []stretch{part}}
}
