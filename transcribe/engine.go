package transcribe

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// engine turns speech into text. Engines never see the video: only spans of its audio.
type engine interface {
	name() string
	// probe says what the engine can do here and now. An engine that cannot run
	// returns a stop with state EngineMissing that says what to do about it.
	probe(ctx context.Context) (caps, error)
	// transcribe works on every span of the task and hands over each as soon as
	// it is finished, in any order, also those without a word.
	transcribe(ctx context.Context, t task, done sink) error
}

// caps is what an engine can do.
type caps struct {
	model     string
	recipe    string   // engine settings that change the text; part of a transcript's identity
	languages []string // nil: any
	longest   Offset   // of a span; 0: each stretch of speech is a span of its own
}

// knows reports whether the engine can work in a language, "" being unknown.
func (c caps) knows(language string) bool {
	return language == "" || c.languages == nil || slices.Contains(c.languages, language)
}

// task is what an engine has to do.
type task struct {
	audio    audio
	spans    []span
	language string // ISO 639-1; "" lets the engine find out
	dir      string // for temporary files
	jobs     int    // processes or requests at once
}

// finished is one span's text. Segment times count from the start of the span.
type finished struct {
	span     span
	language string // heard by the engine; "" when it does not say
	segments []Segment
}

// sink takes finished spans. It may be called from several goroutines. An error
// ends the work and is returned by transcribe.
type sink func(finished) error

// eachSpan runs work on the task's spans, jobs at once, and hands over the results.
// The first error ends it.
func eachSpan(ctx context.Context, t task, jobs int, done sink, work func(context.Context, span) (finished, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan span)
	var workers sync.WaitGroup
	for range max(1, min(jobs, len(t.spans))) {
		workers.Go(func() {
			for s := range queue {
				f, err := work(ctx, s)
				if err == nil {
					err = done(f)
				}
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	feed(ctx, queue, t.spans)
	workers.Wait()
	return context.Cause(ctx)
}

// feed sends the spans until ctx ends, then closes the queue.
func feed(ctx context.Context, queue chan<- span, spans []span) {
	defer close(queue)
	for _, s := range spans {
		select {
		case queue <- s:
		case <-ctx.Done():
			return
		}
	}
}

// engineTrouble turns a program's failure into an outcome. Errors of the sink, such
// as a full disk, stay what they are.
func engineTrouble(ctx context.Context, name string, err error) error {
	_, exited := errors.AsType[*exitError](err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case notInstalled(err):
		return stopf(EngineMissing, "%s: %v", name, err)
	case exited, errors.Is(err, errTimeLimit), errors.Is(err, errOutputLimit):
		return stopf(Failed, "%s: %v", name, err)
	}
	return err
}
