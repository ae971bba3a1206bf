package transcribe

import (
	"fmt"
	"strconv"
	"strings"
)

// sphinxReader puts spans together from pocketsphinx_batch's output. The line of a
// span (-hyp) says that it is done and how many words it has; the lines of its words
// (-ctm) follow.
type sphinxReader struct {
	waiting map[string]span // by the name in the control file; not yet handed over
	done    sink
	current *sphinxSpan
}

type sphinxSpan struct {
	span     span
	expected int // words that the line of the span announced
	words    []Word
}

func newSphinxReader(spans []span, done sink) *sphinxReader {
	r := &sphinxReader{waiting: make(map[string]span, len(spans)), done: done}
	for _, s := range spans {
		r.waiting[sphinxID(s.ID)] = s
	}
	return r
}

// line takes one line of output; lines of another kind are skipped.
func (r *sphinxReader) line(line string) error {
	if id, text, ok := parseHypothesis(line); ok {
		return r.begin(id, len(strings.Fields(text)))
	}
	if id, word, ok := parseCTM(line); ok {
		return r.add(id, word)
	}
	return nil
}

// begin ends the span before and starts the next.
func (r *sphinxReader) begin(id string, words int) error {
	if err := r.hand(); err != nil {
		return err
	}
	s, ok := r.waiting[id]
	if !ok {
		return nil
	}
	delete(r.waiting, id)
	r.current = &sphinxSpan{span: s, expected: words}
	if words == 0 {
		return r.hand()
	}
	return nil
}

// add takes one word and hands the span over with its last one.
func (r *sphinxReader) add(id string, w Word) error {
	if r.current == nil || id != sphinxID(r.current.span.ID) || filler(w.Text) {
		return nil
	}
	if len(r.current.words) == sphinxWords {
		return fmt.Errorf("pocketsphinx: over %d words in %s", sphinxWords, id)
	}
	r.current.words = append(r.current.words, w)
	if len(r.current.words) < r.current.expected {
		return nil
	}
	return r.hand()
}

// hand hands the open span over, if there is one.
func (r *sphinxReader) hand() error {
	c := r.current
	if c == nil {
		return nil
	}
	r.current = nil
	f := finished{span: c.span, language: "en"}
	if n := len(c.words); n > 0 {
		f.segments = []Segment{{Start: c.words[0].Start, End: c.words[n-1].End, Words: c.words}}
	}
	return r.done(f)
}

// end is called when the process ended well. Every span must be there.
func (r *sphinxReader) end() error {
	if err := r.hand(); err != nil {
		return err
	}
	if n := len(r.waiting); n > 0 {
		return stopf(Failed, "pocketsphinx left out %d parts of the audio", n)
	}
	return nil
}

// parseHypothesis reads "text of the span (name score)".
func parseHypothesis(line string) (id, text string, ok bool) {
	rest, ok := strings.CutSuffix(strings.TrimSpace(line), ")")
	if !ok {
		return "", "", false
	}
	open := strings.LastIndexByte(rest, '(')
	if open < 0 {
		return "", "", false
	}
	id, score, ok := strings.Cut(rest[open+1:], " ")
	if _, err := strconv.Atoi(score); !ok || err != nil || id == "" {
		return "", "", false
	}
	return id, strings.TrimSpace(rest[:open]), true
}

// parseCTM reads "name channel start duration word confidence".
func parseCTM(line string) (id string, w Word, ok bool) {
	fields := strings.Fields(line)
	if len(fields) != 6 {
		return "", Word{}, false
	}
	var numbers [3]float64
	for i, field := range []string{fields[2], fields[3], fields[5]} {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return "", Word{}, false
		}
		numbers[i] = n
	}
	start := offsetOf(numbers[0])
	return fields[0], Word{
		Text:       spelling(fields[4]),
		Start:      start,
		End:        start + offsetOf(numbers[1]),
		Confidence: max(0.001, knownConfidence(numbers[2])),
	}, true
}

// spelling takes the mark of a pronunciation variant off, "read(2)", and writes the
// first person as English does. The dictionary is all lower case.
func spelling(word string) string {
	if open := strings.LastIndexByte(word, '('); open > 0 && strings.HasSuffix(word, ")") {
		word = word[:open]
	}
	if word == "i" || strings.HasPrefix(word, "i'") {
		word = "I" + word[1:]
	}
	return word
}

// filler reports whether a word stands for silence or noise.
func filler(word string) bool {
	return strings.HasPrefix(word, "<") || strings.HasPrefix(word, "[") || strings.HasPrefix(word, "++")
}
