package transcribe

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"slices"
)

// Config says which engines there are and where. The zero value takes the best
// engine that is installed.
type Config struct {
	// Engine is "auto" (default), "pocketsphinx", "whisper", "openai" or "command".
	Engine string
	// Language is ISO 639-1. "" takes the audio track's tag, else what the engine
	// hears.
	Language string
	// FFmpeg and FFprobe are names in PATH, or paths.
	FFmpeg, FFprobe string
	// Pocketsphinx is the built-in default engine. Batch is the program, default
	// pocketsphinx_batch; Model the model folder, default where packages put it.
	Pocketsphinx struct{ Batch, Model string }
	// Whisper is whisper.cpp. CLI is the program, default whisper-cli; Model is a ggml
	// model file, without which the engine is not used.
	Whisper struct{ CLI, Model string }
	// OpenAI is any server with OpenAI's transcription API. URL is its base, such as
	// http://host:8000/v1; Model defaults to whisper-1; Key may be empty.
	OpenAI struct{ URL, Model, Key string }
	// Command is any other program and its arguments. It is called with the path of
	// a WAV file (16 kHz, mono, at most five minutes) as last argument, and prints
	//
	//	{"language": "en", "segments": [
	//	  {"start": 0.5, "end": 2.1, "text": "go forward", "confidence": 0.9,
	//	   "words": [{"word": "go", "start": 0.5, "end": 0.7, "confidence": 0.9}]}]}
	//
	// with times in seconds of the WAV file and confidences from 0 to 1. Everything
	// but start, end and text may be left out. Exit code 0 means done, anything else
	// that the span failed; stderr is for messages.
	Command []string
	// Jobs is how many engine processes run at once; default the number of CPUs.
	Jobs int
	// Logger gets what happens on the way; nil discards it.
	Logger *slog.Logger
}

// engineAuto lets the transcriber choose.
const engineAuto = "auto"

var engineNames = []string{engineAuto, "openai", "whisper", "pocketsphinx", "command"}

func (c Config) withDefaults() Config {
	set := func(value *string, fallback string) {
		if *value == "" {
			*value = fallback
		}
	}
	set(&c.Engine, engineAuto)
	set(&c.FFmpeg, "ffmpeg")
	set(&c.FFprobe, "ffprobe")
	set(&c.Pocketsphinx.Batch, "pocketsphinx_batch")
	set(&c.Whisper.CLI, "whisper-cli")
	set(&c.OpenAI.Model, "whisper-1")
	if c.Jobs <= 0 {
		c.Jobs = runtime.NumCPU()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	if err := checkEngine(c.Engine); err != nil {
		return err
	}
	if err := checkLanguage(c.Language); err != nil {
		return err
	}
	if c.OpenAI.URL == "" {
		return nil
	}
	u, err := url.Parse(c.OpenAI.URL)
	if err != nil {
		return fmt.Errorf("transcription server: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return errors.New("transcription server: the URL must be like http://host:8000/v1")
	}
	return nil
}

// CheckRequest refuses an engine or language of a Request that no Run would
// take. Empty ones mean the default.
func CheckRequest(engine, language string) error {
	if engine != "" {
		if err := checkEngine(engine); err != nil {
			return err
		}
	}
	return checkLanguage(language)
}

func checkEngine(name string) error {
	if !slices.Contains(engineNames, name) {
		return fmt.Errorf("unknown transcription engine %q: use one of %q", name, engineNames)
	}
	return nil
}

func checkLanguage(name string) error {
	if name != "" && languageCode(name) == "" {
		return fmt.Errorf("language %q is not an ISO 639 code", name)
	}
	return nil
}
