package transcribe

import (
	"fmt"
	"time"
)

// State says how a transcription ended.
type State string

const (
	Done                State = "done"                 // the sidecar files stand
	NoAudio             State = "no_audio"             // nothing to hear in this file
	UnsupportedLanguage State = "unsupported_language" // no engine here knows the language
	EngineMissing       State = "engine_missing"       // a program, model or server is missing; the owner has to act
	Unreadable          State = "unreadable"           // cut short, damaged, or no media file
	Failed              State = "failed"               // an engine broke or took too long; a retry may help
)

// Result is the outcome of one transcription.
type Result struct {
	State    State
	Message  string   // one sentence: what, which one, what to do next; may be empty when done
	Files    []string // paths of the sidecar files, when done
	Language string   // ISO 639-1 where there is one, else ISO 639-2; "und" when unknown
	Engine   string
	Model    string
	Quality  string  // QualityHigh … QualityNone
	Segments int     // segments in the subtitle files
	Seconds  float64 // length of the audio
}

// The phases of a transcription, in order.
const (
	PhaseProbing      = "probing"
	PhaseExtracting   = "extracting"
	PhaseSegmenting   = "segmenting"
	PhaseTranscribing = "transcribing"
	PhaseWriting      = "writing"
)

// Progress says how far a phase is.
type Progress struct {
	Phase string
	Done  time.Duration // of audio; while transcribing, of audio with speech in it
	Total time.Duration // 0 when unknown
}

// stop is an outcome other than done, on its way up to Run.
type stop struct {
	state   State
	message string
}

func (s *stop) Error() string { return s.message }

func stopf(state State, format string, args ...any) error {
	return &stop{state: state, message: fmt.Sprintf(format, args...)}
}
