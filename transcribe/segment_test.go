package transcribe

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAdmit(t *testing.T) {
	tests := []struct {
		name  string
		heard []Segment
		want  []string
	}{
		{"nothing", nil, nil},
		{"empty ones go", []Segment{{Text: " \n"}, {Text: "\u202e\x07"}, {Text: "a"}}, []string{"a"}},
		{"one line", []Segment{{Text: " a\n\nb\tc\u0085 d "}}, []string{"a b c d"}},
		{"broken UTF-8", []Segment{{Text: "a\xffb"}}, []string{"a\uFFFDb"}},
		{"order", []Segment{{Start: 5000, Text: "b"}, {Start: 1000, Text: "a"}}, []string{"a", "b"}},
		{"said twice", []Segment{{Text: "yes"}, {Text: "yes"}, {Text: "no"}}, []string{"yes", "yes", "no"}},
		{"stuck", []Segment{{Text: "thanks"}, {Text: "thanks"}, {Text: "thanks"}, {Text: "thanks"}, {Text: "bye"}, {Text: "thanks"}},
			[]string{"thanks", "thanks", "bye", "thanks"}},
		{"text from words", []Segment{{Words: []Word{{Text: "go"}, {Text: " "}, {Text: "on"}}}}, []string{"go on"}},
	}
	for _, test := range tests {
		var got []string
		for _, s := range admit(aSpan, test.heard) {
			got = append(got, s.Text)
		}
		if strings.Join(got, "|") != strings.Join(test.want, "|") {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestGrade(t *testing.T) {
	words := func(n int, confidence float64) Segment {
		return Segment{Text: "x", Confidence: confidence, Words: make([]Word, n)}
	}
	tests := []struct {
		name     string
		segments []Segment
		want     string
		dropped  int
	}{
		{"nothing", nil, QualityNone, 0},
		{"clean", []Segment{words(10, 0.68), words(3, 0.5)}, QualityHigh, 0},
		{"some noise", []Segment{words(10, 0.44)}, QualityMedium, 0},
		{"noise", []Segment{words(10, 0.2), words(10, 0.35)}, QualityLow, 1},
		{"lucky words in noise", []Segment{words(100, 0.2), words(2, 0.9)}, QualityLow, 1},
		{"all noise", []Segment{words(10, 0.2), words(10, 0.1)}, QualityNone, 2},
		{"no confidence", []Segment{words(10, 0)}, QualityUnknown, 0},
	}
	for _, test := range tests {
		got, _ := grade(test.segments)
		dropped := 0
		for _, s := range test.segments {
			if s.Dropped {
				dropped++
			}
		}
		if got != test.want || dropped != test.dropped {
			t.Errorf("%s: %s, %d dropped; want %s, %d", test.name, got, dropped, test.want, test.dropped)
		}
	}
}

func TestOffsetJSON(t *testing.T) {
	tests := map[string]Offset{
		"0": 0, "1.5": 1500, "59.9996": 60_000, "59.9994": 59_999, "-3": 0, "1e300": maxOffset, "null": 0, "0.001": 1,
	}
	for text, want := range tests {
		var got Offset
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	var o Offset
	if err := json.Unmarshal([]byte(`"soon"`), &o); err == nil {
		t.Error("a word was taken for a time")
	}
	if data, err := json.Marshal(Offset(61_005)); err != nil || string(data) != "61.005" {
		t.Errorf("%s, %v", data, err)
	}
}

func TestLanguageCode(t *testing.T) {
	tests := map[string]string{
		"en": "en", "EN": "en", "eng": "en", "en-US": "en", "en_GB": "en", "English": "en", "ger": "de", "deu": "de",
		"german": "de", "castilian": "es", "fil": "fil", "zh-Hant": "zh", "und": "", "": "", "zxx": "", "klingon": "", "e1": "", "../x": "",
	}
	for name, want := range tests {
		if got := languageCode(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if n := len(languageCodes()); n < 500 {
		t.Errorf("%d names of languages", n)
	}
}

func TestJoinWords(t *testing.T) {
	tests := map[string][]string{
		"go on":      {"go", "on"},
		"これは文":       {"これ", "は", "文"},
		"das ist 文字": {"das", "ist", "文", "字"},
		"":           nil,
	}
	for want, texts := range tests {
		var words []Word
		for _, text := range texts {
			words = append(words, Word{Text: text})
		}
		if got := joinWords(words); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
