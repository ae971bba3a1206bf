package transcribe

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// aSpan is the span that fuzzed answers speak of.
var aSpan = span{stretch: stretch{Start: 10_000, End: 20_000}, Parts: []stretch{{10_000, 20_000}}}

// checkAdmitted fails unless segments are fit to keep.
func checkAdmitted(t *testing.T, segments []Segment) {
	t.Helper()
	last := Offset(0)
	for _, s := range segments {
		if s.Start < aSpan.Start || s.End > aSpan.End || s.End < s.Start || s.Start < last {
			t.Fatalf("times of %+v", s)
		}
		last = s.Start
		if s.Text == "" || !utf8.ValidString(s.Text) || strings.ContainsAny(s.Text, "\n\r\x00") {
			t.Fatalf("text %q", s.Text)
		}
		if s.Confidence < 0 || s.Confidence > 1 {
			t.Fatalf("confidence %v", s.Confidence)
		}
		for _, w := range s.Words {
			if w.Text == "" || w.Start < aSpan.Start || w.End > aSpan.End || w.End < w.Start {
				t.Fatalf("word %+v", w)
			}
		}
	}
	checkRendered(t, segments)
}

// checkRendered fails when segments cannot be written as subtitles.
func checkRendered(t *testing.T, segments []Segment) {
	t.Helper()
	transcript := &Transcript{Duration: aSpan.End, Segments: segments}
	transcript.finish()
	end := Offset(0)
	for _, c := range cuesOf(transcript.Segments, transcript.Duration) {
		if c.start < end || c.end <= c.start || len(c.lines) == 0 || len(c.lines) > cueLines {
			t.Fatalf("cue %+v after %v", c, end)
		}
		end = c.end
		for _, line := range c.lines {
			if line == "" || utf8.RuneCountInString(line) > cueColumns {
				t.Fatalf("line %q", line)
			}
		}
	}
	for _, format := range formats {
		if _, err := transcript.Render(format); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzSphinxOutput(f *testing.F) {
	f.Add("go forward (span0 -8586)\nspan0 1 0.34 0.07 go 0.579\nspan0 1 0.42 0.34 forward(2) 0.582\n (span1 0)\n")
	f.Add(" (span0 0)\n (span1 0)\n")
	f.Add("i'm <sil> (span1 -1)\nspan1 1 0.0 NaN i'm 2\nspan1 1 1e300 1 [NOISE] 0\nspan0 1 0 0 x 0\n")
	f.Add("((span0 1)\n)\nspan0 1 -1 -1 ) -1\n")
	f.Fuzz(func(t *testing.T, output string) {
		var got []finished
		spans := []span{aSpan, {ID: 1, stretch: aSpan.stretch, Parts: aSpan.Parts}}
		reader := newSphinxReader(spans, func(f finished) error {
			got = append(got, f)
			return nil
		})
		lines := &lineWriter{line: reader.line}
		if _, err := lines.Write([]byte(output)); err != nil {
			return
		}
		err := reader.end()
		if len(got) > len(spans) || (err == nil) != (len(got) == len(spans)) {
			t.Fatalf("%d spans, error %v", len(got), err)
		}
		for _, f := range got {
			checkAdmitted(t, admit(aSpan, f.segments))
		}
	})
}

func FuzzWhisperJSON(f *testing.F) {
	f.Add([]byte(`{"result":{"language":"en"},"transcription":[{"offsets":{"from":500,"to":1500},"text":" Hello.","tokens":[
		{"text":"[_BEG_]","offsets":{"from":0,"to":0},"p":0.9},{"text":" Hel","offsets":{"from":500,"to":700},"p":0.8},
		{"text":"lo.","offsets":{"from":700,"to":1500},"p":0.6}]}]}`))
	f.Add([]byte(`{"transcription":[{"offsets":{"from":-9223372036854775808,"to":9223372036854775807},"text":"\u0000\ud800"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, segments, err := parseWhisper(data); err == nil {
			checkAdmitted(t, admit(aSpan, segments))
		}
	})
}

func FuzzServerReply(f *testing.F) {
	f.Add([]byte(`{"language":"english","text":"Hi.","segments":[{"start":0.5,"end":1.5,"text":" Hi.","avg_logprob":-0.2,"no_speech_prob":0.01}],"words":[{"word":"Hi","start":0.5,"end":0.9}]}`))
	f.Add([]byte(`{"text":"Hi.","segments":[{"start":0,"end":1,"text":"Hi.","words":[{"word":" Hi.","start":0,"end":1,"probability":0.9}]}]}`))
	f.Add([]byte(`{"text":"Hi. there"}`))
	f.Add([]byte(`{"text":"a a","segments":[{"start":1e308,"end":-1,"text":"a","avg_logprob":1e308},{"text":"a"}],"words":[{"word":"a","start":5}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if f, err := parseServerReply(data, aSpan); err == nil || err == errNoTimes {
			checkAdmitted(t, admit(aSpan, f.segments))
		}
	})
}

func FuzzCommandReply(f *testing.F) {
	f.Add([]byte(`{"language":"en","segments":[{"start":0.5,"end":2.1,"text":"go forward","confidence":0.9,"words":[{"word":"go","start":0.5,"end":0.7,"confidence":0.9}]}]}`))
	f.Add([]byte(`{"segments":[{"start":null,"text":"a"},{"text":"a"},{"text":"a"},{"start":9,"end":1,"text":"\n\n"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if reply, err := parseCommandReply(data); err == nil {
			checkAdmitted(t, admit(aSpan, reply.Segments))
		}
	})
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"span":0,"segments":[{"id":0,"start":1.000,"end":2.000,"text":"a"}]}` + "\n" + `{"span":0,"language":"en","segments":null}` + "\n" + `{"span":1,"segm`))
	f.Add([]byte("\n\n{}\nnull\n{\"span\":-1}\n{\"span\":99}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, whole, err := readRecords(bytes.NewReader(data), 3)
		if err != nil {
			t.Fatal(err)
		}
		if whole != int64(bytes.LastIndexByte(data, '\n')+1) {
			t.Fatalf("whole lines end at %d", whole)
		}
		for id, record := range records {
			if id < 0 || id >= 3 || record.Span != id {
				t.Fatalf("record %d: %+v", id, record)
			}
		}
	})
}

func FuzzMedia(f *testing.F) {
	f.Add([]byte(`{"streams":[{"index":0,"codec_type":"video"},{"index":1,"codec_name":"aac","codec_type":"audio","duration":"8.455000","tags":{"language":"eng"},"disposition":{"default":1}}],
		"format":{"format_name":"mov,mp4","start_time":"-0.064000","duration":"8.900000"}}`))
	f.Add([]byte(`{"format":{"format_name":"matroska,webm","duration":"N/A","start_time":"1e400"},"streams":[{"codec_type":"audio","duration":"1e18"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMedia(data)
		if err != nil {
			return
		}
		track, ok := m.track("en")
		if ok && track.Kind != "audio" {
			t.Fatalf("track %+v", track)
		}
		if gap := m.missing(track, audio{length: 1000, endMissing: true}); gap < 0 {
			t.Fatalf("missing %v", gap)
		}
		promised := m.Format.Duration.offset().Duration()
		if bound := audioBound(promised, 1000); bound < 0 || bound > audioSlack+time.Minute {
			t.Fatalf("%v of audio from a file of 1,000 bytes", bound)
		}
		decodeArgs(m, track)
	})
}

func FuzzTranscript(f *testing.F) {
	f.Add([]byte(`{"schema":"vidsync.transcript.v1","language":"en","duration":8.5,"segments":[{"id":0,"start":1.5,"end":3.2,"text":"go","words":[{"word":"go","start":1.5,"end":3.2}]}]}`))
	f.Add([]byte(`{"schema":"vidsync.transcript.v1","segments":[{"start":5,"end":1,"text":""},{"text":" ","words":[{"word":""}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		transcript, err := parseTranscript(data)
		if err != nil {
			return
		}
		for _, format := range formats {
			if _, err := transcript.Render(format); err != nil {
				t.Fatal(err)
			}
		}
	})
}
