// Package transcribe hides how speech in a video becomes text beside it: getting the
// audio out, finding the speech, running an engine, writing the sidecar files.
//
// Work is cut into spans of speech. A finished span is on disk before the next
// counts, so a run that is killed goes on where it stopped. Videos are hostile input:
// the programs that read them may open nothing but that one file, run without a
// shell in a process group of their own, at low priority, for a limited time.
package transcribe

import (
	"context"
	"errors"
	"fmt"
)

// Transcriber turns videos into text. It is safe for concurrent use and needs no
// closing.
type Transcriber struct {
	cfg     Config
	engines []engine // best first
}

// New checks the configuration. It starts nothing and looks for nothing.
func New(cfg Config) (*Transcriber, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("transcription settings: %w", err)
	}
	return &Transcriber{cfg: cfg, engines: []engine{
		openAI{url: cfg.OpenAI.URL, model: cfg.OpenAI.Model, key: cfg.OpenAI.Key, log: cfg.Logger},
		whisper{cli: cfg.Whisper.CLI, model: cfg.Whisper.Model},
		pocketsphinx{batch: cfg.Pocketsphinx.Batch, model: cfg.Pocketsphinx.Model},
		commandEngine{argv: cfg.Command},
	}}, nil
}

// Request is one video to transcribe.
type Request struct {
	// Video is the path of a video or audio file. The sidecars appear beside it.
	Video string
	// Key is the content name of the video, its CID. It names the unfinished work
	// and goes into the JSON file. "" derives one from path, size and date.
	Key string
	// WorkDir is where unfinished work is kept. It must be on a disk with room for
	// the audio, 115 MB an hour.
	WorkDir string
	// Engine and Language override the configuration.
	Engine, Language string
}

// Run transcribes one video and blocks until that is done or known to be
// impossible, which the Result says. It returns an error only when ctx ended or
// vidsync's own files could not be read or written. After either, the same
// request goes on where this one stopped; finished work stays done. progress may be
// nil; it is called from one goroutine at a time.
func (t *Transcriber) Run(ctx context.Context, req Request, progress func(Progress)) (Result, error) {
	j := &job{Transcriber: t, req: req, report: &reporter{to: progress}}
	result, err := j.run(ctx)
	if ctx.Err() != nil {
		return Result{}, ctx.Err()
	}
	if s, ok := errors.AsType[*stop](err); ok {
		result.State, result.Message = s.state, s.message
		return result, nil
	}
	if err != nil {
		return Result{}, fmt.Errorf("transcribe %s: %w", req.Video, err)
	}
	return result, nil
}
