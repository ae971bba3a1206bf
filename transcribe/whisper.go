package transcribe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// whisperRecipe names the settings of whisperArgs; a change of them is a new name.
const whisperRecipe = "mc0"

// whisper runs whisper.cpp's whisper-cli with the user's model, one process at a
// time: it uses all threads itself and a model takes a lot of memory.
type whisper struct{ cli, model string }

func (e whisper) name() string { return "whisper" }

func (e whisper) probe(context.Context) (caps, error) {
	if e.model == "" {
		return caps{}, stopf(EngineMissing, "whisper has no model: set the path of a ggml model file")
	}
	if _, err := exec.LookPath(e.cli); err != nil {
		return caps{}, stopf(EngineMissing, "%s not found: install whisper.cpp or set its path", e.cli)
	}
	info, err := os.Stat(e.model)
	if err != nil || !info.Mode().IsRegular() {
		return caps{}, stopf(EngineMissing, "whisper model %s is no readable file: set the path of a ggml model file", e.model)
	}
	c := caps{
		model:   fmt.Sprintf("%s (%d bytes)", filepath.Base(e.model), info.Size()),
		recipe:  whisperRecipe,
		longest: chunkLength,
	}
	if strings.Contains(filepath.Base(e.model), ".en.") { // whisper.cpp's name for English-only models
		c.languages = []string{"en"}
	}
	return c, nil
}

func (e whisper) transcribe(ctx context.Context, t task, done sink) error {
	return eachSpan(ctx, t, 1, done, func(ctx context.Context, s span) (finished, error) {
		wav, err := t.audio.saveWAV(t.dir, s)
		if err != nil {
			return finished{}, err
		}
		defer os.Remove(wav)
		answer := strings.TrimSuffix(wav, filepath.Ext(wav))
		defer os.Remove(answer + ".json")
		err = program{name: e.cli, args: e.args(wav, answer, t), limit: timeFor(s)}.run(ctx)
		if err != nil {
			return finished{}, engineTrouble(ctx, e.name(), err)
		}
		return e.read(answer+".json", s)
	})
}

// args asks for JSON with tokens, and for no memory of earlier text, which is what
// makes whisper repeat itself.
func (e whisper) args(wav, answer string, t task) []string {
	language := t.language
	if language == "" {
		language = "auto"
	}
	return []string{"-m", e.model, "-f", wav, "-l", language, "-t", strconv.Itoa(t.jobs), "-mc", "0", "-np", "-ojf", "-of", answer}
}

// read reads what whisper-cli left behind. It exits with 0 even when it could not
// read its input; then there is no file.
func (e whisper) read(path string, s span) (finished, error) {
	data, err := readLimited(path, replyLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return finished{}, stopf(Failed, "whisper: %s wrote no result", e.cli)
	}
	if err != nil {
		return finished{}, stopf(Failed, "whisper: %v", err)
	}
	language, segments, err := parseWhisper(data)
	if err != nil {
		return finished{}, stopf(Failed, "whisper: read result: %v", err)
	}
	return finished{span: s, language: languageCode(language), segments: segments}, nil
}

// whisperReply is whisper-cli's JSON file.
type whisperReply struct {
	Result struct {
		Language string `json:"language"`
	} `json:"result"`
	Transcription []whisperPiece `json:"transcription"`
}

type whisperPiece struct {
	Text    string         `json:"text"`
	Offsets whisperOffsets `json:"offsets"`
	Tokens  []struct {
		Text    string         `json:"text"`
		Offsets whisperOffsets `json:"offsets"`
		P       float64        `json:"p"`
	} `json:"tokens"`
}

// whisperOffsets are in milliseconds.
type whisperOffsets struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

func (o whisperOffsets) start() Offset { return min(max(0, Offset(o.From)), maxOffset) }
func (o whisperOffsets) end() Offset   { return min(max(0, Offset(o.To)), maxOffset) }

func parseWhisper(data []byte) (language string, segments []Segment, err error) {
	var reply whisperReply
	if err := json.Unmarshal(data, &reply); err != nil {
		return "", nil, err
	}
	for _, piece := range reply.Transcription {
		s := Segment{Start: piece.Offsets.start(), End: piece.Offsets.end(), Text: piece.Text, Words: piece.words()}
		if s.End > s.Start {
			segments = append(segments, s)
		}
	}
	return reply.Result.Language, segments, nil
}

// words joins tokens to words: a word begins with a blank. Tokens in [_ _] are marks
// of the model.
func (p whisperPiece) words() []Word {
	var words []Word
	tokens := 0 // in the last word
	for _, t := range p.Tokens {
		if strings.HasPrefix(t.Text, "[_") || strings.TrimSpace(t.Text) == "" {
			continue
		}
		n := len(words)
		if n == 0 || strings.HasPrefix(t.Text, " ") {
			words = append(words, Word{Text: t.Text, Start: t.Offsets.start(), End: t.Offsets.end(), Confidence: t.P})
			tokens = 1
			continue
		}
		last := &words[n-1]
		last.Text += t.Text
		last.End = max(last.End, t.Offsets.end())
		last.Confidence = (last.Confidence*float64(tokens) + t.P) / float64(tokens+1)
		tokens++
	}
	return words
}
