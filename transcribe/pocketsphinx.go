package transcribe

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// sphinxRecipe names the settings of sphinxArgs; a change of them is a new name.
	sphinxRecipe = "topn8-maxhmmpf3000-maxwpf10"
	// sphinxBase and sphinxFactor times the audio limit a process. It needs a tenth
	// to half of the audio's length on an idle core.
	sphinxBase   = 5 * time.Minute
	sphinxFactor = 10
	// sphinxWords is the most words accepted in one span of 20 s.
	sphinxWords = 1000

	sphinxRemedy = "apt-get install -y pocketsphinx pocketsphinx-en-us"
)

// sphinxModels are the places where packages put the English model.
var sphinxModels = []string{
	"/usr/share/pocketsphinx/model/en-us",
	"/usr/local/share/pocketsphinx/model/en-us",
	"/opt/homebrew/share/pocketsphinx/model/en-us",
}

// pocketsphinx runs pocketsphinx_batch: English, small, no graphics card. One file
// of raw audio and a list of cut points go in; a line for each span and each word
// comes out as soon as the span is done.
type pocketsphinx struct {
	batch string
	model string // folder; "" searches sphinxModels
}

func (e pocketsphinx) name() string { return "pocketsphinx" }

func (e pocketsphinx) probe(context.Context) (caps, error) {
	if _, err := exec.LookPath(e.batch); err != nil {
		return caps{}, stopf(EngineMissing, "%s not found: %s", e.batch, sphinxRemedy)
	}
	model, err := e.findModel()
	if err != nil {
		return caps{}, err
	}
	return caps{model: filepath.Base(model), recipe: sphinxRecipe, languages: []string{"en"}}, nil
}

func (e pocketsphinx) findModel() (string, error) {
	candidates := sphinxModels
	if e.model != "" {
		candidates = []string{e.model}
	}
	for _, dir := range candidates {
		if _, err := os.Stat(filepath.Join(dir, "en-us.lm.bin")); err == nil {
			return dir, nil
		}
	}
	return "", stopf(EngineMissing, "pocketsphinx has no English model in %s: %s", strings.Join(candidates, ", "), sphinxRemedy)
}

func (e pocketsphinx) transcribe(ctx context.Context, t task, done sink) error {
	model, err := e.findModel()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var processes sync.WaitGroup
	for i, spans := range deal(t.spans, t.jobs) {
		processes.Go(func() {
			if err := e.batchRun(ctx, t, model, i, spans, done); err != nil {
				cancel(err)
			}
		})
	}
	processes.Wait()
	return context.Cause(ctx)
}

// deal gives every process its spans in turn, so that all of them work on the same
// part of the video.
func deal(spans []span, processes int) [][]span {
	hands := make([][]span, max(1, min(processes, len(spans))))
	for i, s := range spans {
		hands[i%len(hands)] = append(hands[i%len(hands)], s)
	}
	return hands
}

// batchRun runs one process over some of the spans.
func (e pocketsphinx) batchRun(ctx context.Context, t task, model string, number int, spans []span, done sink) error {
	control := filepath.Join(t.dir, fmt.Sprintf("control-%d", number))
	if err := os.WriteFile(control, controlFile(t.audio.path, spans), 0o600); err != nil {
		return fmt.Errorf("write control file: %w", err)
	}
	defer os.Remove(control)
	reader := newSphinxReader(spans, done)
	lines := &lineWriter{line: reader.line}
	err := program{
		name:   e.batch,
		args:   sphinxArgs(model, t.audio.path, control),
		dir:    t.dir,
		limit:  sphinxBase + sphinxFactor*speechIn(spans).Duration(),
		stdout: lines,
	}.run(ctx)
	if err != nil {
		return engineTrouble(ctx, e.name(), err)
	}
	return reader.end()
}

// sphinxArgs sends both kinds of result to one pipe, which keeps their order: the
// line of a span, then the lines of its words.
func sphinxArgs(model, audio, control string) []string {
	return []string{
		"-hmm", filepath.Join(model, "en-us"),
		"-lm", filepath.Join(model, "en-us.lm.bin"),
		"-dict", filepath.Join(model, "cmudict-en-us.dict"),
		"-adcin", "yes", "-cepdir", filepath.Dir(audio), "-cepext", filepath.Ext(audio), "-ctl", control,
		"-topn", "8", "-maxhmmpf", "3000", "-maxwpf", "10",
		"-hyp", "/dev/stdout", "-ctm", "/dev/stdout", "-logfn", "/dev/null",
	}
}

// controlFile lists the spans as frames of the audio file, a hundred a second.
func controlFile(audio string, spans []span) []byte {
	name := strings.TrimSuffix(filepath.Base(audio), filepath.Ext(audio))
	var b []byte
	for _, s := range spans {
		b = fmt.Appendf(b, "%s %d %d %s\n", name, s.Start/frameLength, s.End/frameLength, sphinxID(s.ID))
	}
	return b
}

func sphinxID(span int) string { return "span" + strconv.Itoa(span) }
