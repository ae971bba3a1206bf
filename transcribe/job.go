package transcribe

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// job is one run.
type job struct {
	*Transcriber
	req    Request
	report *reporter

	language string // wanted; "" takes what comes
	before   os.FileInfo
	chosen   usable
	result   Result
}

// run takes the steps in order. What cannot be done comes back as a stop.
func (j *job) run(ctx context.Context) (Result, error) {
	if err := j.prepare(); err != nil {
		return j.result, err
	}
	j.report.phase(PhaseProbing)
	engines, missing, err := j.usableEngines(ctx, j.req.Engine)
	if err != nil {
		return j.result, err
	}
	if set, ok := j.standing(engines); ok {
		err := set.restore(j.req.Video)
		return resultOf(set), err
	}
	m, err := j.inspect(ctx, j.req.Video)
	if err != nil {
		return j.result, err
	}
	track, ok := m.track(j.language)
	if !ok {
		return j.result, stopf(NoAudio, "%s has no audio", j.req.Video)
	}
	j.language = cmp.Or(j.language, languageCode(track.Tags.Language))
	j.result.Language = j.language
	if missing != nil {
		return j.result, missing
	}
	if err := j.choose(engines); err != nil {
		return j.result, err
	}
	return j.work(ctx, m, track)
}

// prepare completes the request.
func (j *job) prepare() error {
	path, err := filepath.Abs(j.req.Video)
	if err != nil {
		return err
	}
	j.req.Video = path
	j.req.Engine = cmp.Or(j.req.Engine, j.cfg.Engine)
	if err := checkEngine(j.req.Engine); err != nil {
		return stopf(EngineMissing, "%v", err)
	}
	if j.req.WorkDir == "" {
		return errors.New("no folder for unfinished work is given")
	}
	wanted := cmp.Or(j.req.Language, j.cfg.Language)
	if j.language = languageCode(wanted); wanted != "" && j.language == "" {
		return stopf(UnsupportedLanguage, "language %q is not an ISO 639 code", wanted)
	}
	if j.before, err = os.Stat(path); err != nil {
		return stopf(Unreadable, "nothing to transcribe: %v", err)
	}
	if j.req.Key == "" {
		j.req.Key = "file-" + digest(path, fmt.Sprint(j.before.Size()), j.before.ModTime().UTC().String())
	}
	return nil
}

// work does what is left of the transcription in its work folder.
func (j *job) work(ctx context.Context, m *media, track mediaStream) (Result, error) {
	c, err := openCheckpoint(filepath.Join(j.req.WorkDir, digest(
		j.req.Key, fmt.Sprint(track.Index), j.chosen.name(), j.chosen.caps.model, j.chosen.caps.recipe, j.language)))
	if err != nil {
		return j.result, err
	}
	defer c.close()
	p, err := j.plan(ctx, c, m, track)
	if s, ok := errors.AsType[*stop](err); ok && (s.state == NoAudio || s.state == Unreadable) {
		return j.result, cmp.Or(c.remove(), err) // nothing here is of use to a later run
	}
	if err != nil {
		return j.result, err
	}
	records, err := j.speak(ctx, c, p)
	if err != nil {
		return j.result, err
	}
	set, err := j.write(p, track, records)
	if err != nil {
		return j.result, err
	}
	return resultOf(set), c.remove()
}

// plan returns what has to be done: as frozen by an earlier run, or found out now.
func (j *job) plan(ctx context.Context, c *checkpoint, m *media, track mediaStream) (plan, error) {
	p, err := c.plan()
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return p, err
	}
	sound, err := j.extract(ctx, j.req.Video, m, track, c.audioPath(), j.report)
	if err != nil {
		return plan{}, err
	}
	if sound.length == 0 {
		return plan{}, stopf(NoAudio, "the audio track of %s is empty", j.req.Video)
	}
	if gap := m.missing(track, sound); gap > 0 {
		return plan{}, stopf(Unreadable, "%s is cut short or damaged: the last %v of its audio are missing", j.req.Video, gap.Duration())
	}
	speech, err := sound.findSpeech(j.report)
	if err != nil {
		return plan{}, err
	}
	p = plan{Length: sound.length, Spans: group(speech, j.chosen.caps.longest)}
	return p, c.freeze(p)
}

// speak has the engine work on every span that is not finished.
func (j *job) speak(ctx context.Context, c *checkpoint, p plan) (map[int]spanRecord, error) {
	records, err := c.resume(len(p.Spans))
	if err != nil {
		return nil, err
	}
	var heard Offset
	var todo []span
	for _, s := range p.Spans {
		if _, ok := records[s.ID]; ok {
			heard += s.length()
		} else {
			todo = append(todo, s)
		}
	}
	total := speechIn(p.Spans).Duration()
	j.report.audio(PhaseTranscribing, heard.Duration(), total)
	if len(todo) == 0 {
		return records, nil
	}
	j.cfg.Logger.Info("transcribing", "video", j.req.Video, "engine", j.chosen.name(), "spans", len(todo), "done", len(p.Spans)-len(todo))
	var mu sync.Mutex
	err = j.chosen.transcribe(ctx, task{
		audio: audio{path: c.audioPath(), length: p.Length}, spans: todo, language: j.language, dir: c.dir, jobs: j.cfg.Jobs,
	}, func(f finished) error {
		mu.Lock()
		defer mu.Unlock()
		record := spanRecord{Span: f.span.ID, Language: f.language, Segments: admit(f.span, f.segments)}
		if err := c.add(record); err != nil {
			return err
		}
		records[record.Span] = record
		heard += f.span.length()
		j.report.audio(PhaseTranscribing, heard.Duration(), total)
		return nil
	})
	return records, err
}

func speechIn(spans []span) Offset {
	var sum Offset
	for _, s := range spans {
		sum += s.length()
	}
	return sum
}

// write puts the transcript together and publishes it.
func (j *job) write(p plan, track mediaStream, records map[int]spanRecord) (sidecars, error) {
	j.report.phase(PhaseWriting)
	now, err := os.Stat(j.req.Video)
	if err != nil || now.Size() != j.before.Size() || !now.ModTime().Equal(j.before.ModTime()) {
		return sidecars{}, stopf(Failed, "%s changed while it was transcribed: its text was thrown away", j.req.Video)
	}
	t := &Transcript{
		Language: j.language,
		Duration: p.Length,
		Engine:   j.chosen.name(),
		Model:    j.chosen.caps.model,
		Options:  j.chosen.caps.recipe,
		Source:   Source{Key: j.req.Key, Name: filepath.Base(j.req.Video), Track: track.Index},
		Created:  time.Now().UTC().Truncate(time.Second),
	}
	votes := make(map[string]Offset)
	for _, s := range p.Spans {
		t.Segments = append(t.Segments, records[s.ID].Segments...)
		votes[records[s.ID].Language] += s.length()
	}
	if known := j.chosen.caps.languages; t.Language == "" && len(known) == 1 {
		t.Language = known[0]
	}
	if t.Language == "" {
		t.Language = mostHeard(votes)
	}
	t.finish()
	return publish(j.req.Video, t)
}

// mostHeard is the language of most of the speech.
func mostHeard(votes map[string]Offset) string {
	best := ""
	for language, heard := range votes {
		if language != "" && (best == "" || heard > votes[best] || heard == votes[best] && language < best) {
			best = language
		}
	}
	return cmp.Or(best, undetermined)
}

// resultOf is the result for a transcript that stands.
func resultOf(set sidecars) Result {
	t := set.transcript
	r := Result{
		State: Done, Files: set.files(), Language: t.Language, Engine: t.Engine, Model: t.Model,
		Quality: t.Quality, Segments: t.shown(), Seconds: t.Duration.Duration().Seconds(),
	}
	if t.Quality == QualityNone {
		r.Message = "no speech was recognised well enough to show"
	}
	return r
}

// digest is a short name for a list of texts.
func digest(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		fmt.Fprintf(h, "%d:%s,", len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}
