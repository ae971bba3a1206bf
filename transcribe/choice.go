package transcribe

import (
	"context"
	"errors"
	"slices"
)

// usable is an engine that can run here.
type usable struct {
	engine
	caps caps
}

// usableEngines probes the named engine, or all that "auto" may take. When there is
// none, missing says what to do about it.
func (t *Transcriber) usableEngines(ctx context.Context, name string) (found []usable, missing, err error) {
	for _, e := range t.engines {
		if e.name() != name && (name != engineAuto || e.name() == "command") {
			continue
		}
		c, err := e.probe(ctx)
		switch _, isStop := errors.AsType[*stop](err); {
		case err == nil:
			found = append(found, usable{e, c})
		case !isStop:
			return nil, nil, err
		default:
			t.cfg.Logger.Debug("transcription engine not usable", "engine", e.name(), "reason", err)
			missing = err // auto: the last one asked is the one that is easiest to install
		}
	}
	if len(found) > 0 {
		missing = nil
	}
	return found, missing, nil
}

// standing looks for a finished transcript that a new run would only repeat. When no
// engine is usable, any of the right content will do.
func (j *job) standing(engines []usable) (sidecars, bool) {
	for _, set := range findSidecars(j.req.Video) {
		t := set.transcript
		if t.Source.Key != j.req.Key || (j.language != "" && t.Language != j.language) {
			continue
		}
		if len(engines) == 0 && (j.req.Engine == engineAuto || j.req.Engine == t.Engine) {
			return set, true
		}
		i := slices.IndexFunc(engines, func(e usable) bool { return e.caps.knows(t.Language) })
		if i >= 0 && engines[i].name() == t.Engine && engines[i].caps.model == t.Model && engines[i].caps.recipe == t.Options {
			return set, true
		}
	}
	return sidecars{}, false
}

// choose takes the first engine that knows the language.
func (j *job) choose(engines []usable) error {
	for _, e := range engines {
		if e.caps.knows(j.language) {
			j.chosen = e
			j.result.Engine, j.result.Model = e.name(), e.caps.model
			return nil
		}
	}
	return stopf(UnsupportedLanguage, "no engine here knows the language %q of %s: set up whisper or a transcription server, or give the right language",
		j.language, j.req.Video)
}
