package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vidsync/vidsync/api"
)

// progressMode is the value of --progress.
type progressMode string

const (
	progressAuto  progressMode = "auto"
	progressPlain progressMode = "plain"
	progressJSON  progressMode = "json"
	progressOff   progressMode = "off"
)

var progressModes = []string{string(progressAuto), string(progressPlain), string(progressJSON), string(progressOff)}

func (m *progressMode) String() string { return string(*m) }
func (m *progressMode) Type() string   { return "mode" }

func (m *progressMode) Set(text string) error {
	if !slices.Contains(progressModes, text) {
		return fmt.Errorf("%q is not one of %s", text, strings.Join(progressModes, ", "))
	}
	*m = progressMode(text)
	return nil
}

// frameInterval is the time between two looks at the state: 10 frames a second.
const frameInterval = 100 * time.Millisecond

// painter shows a state in one of the modes.
type painter interface {
	paint(v view) error
	end(v view) error // leaves the screen as it was
}

// view is the state of a long call at one moment.
type view struct {
	latest  api.Progress // zero until something is reported
	reports int          // how many there were
	now     time.Time
	began   time.Time // the call
	phase   time.Time // when the latest phase began
	news    time.Time // when the latest report came
}

// progress shows how a long call goes, from its start to stop.
type progress struct {
	painter painter
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	err     error // of the painter; read after wg is done

	mu   sync.Mutex
	view view
}

// startProgress shows progress until stop is called or ctx ends.
func (a *app) startProgress(ctx context.Context, n need) *progress {
	now := time.Now()
	p := &progress{painter: a.painter(n), view: view{began: now, phase: now, news: now}}
	ctx, p.cancel = context.WithCancel(ctx)
	if p.painter != nil {
		p.wg.Go(func() { p.err = p.run(ctx) })
	}
	return p
}

// stop takes the progress off the screen. It gives the error of writing it.
func (p *progress) stop() error {
	p.cancel()
	p.wg.Wait()
	return p.err
}

// report takes a report in.
func (p *progress) report(latest api.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	v := &p.view
	if v.latest.Phase != latest.Phase || v.latest.Name != latest.Name {
		v.phase = now
	}
	v.latest, v.news = latest, now
	v.reports++
}

func (p *progress) run(ctx context.Context) error {
	ticker := time.NewTicker(frameInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return p.painter.end(p.snapshot())
		case <-ticker.C:
			if err := p.painter.paint(p.snapshot()); err != nil {
				return err
			}
		}
	}
}

func (p *progress) snapshot() view {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.view
	v.now = time.Now()
	return v
}

// painter chooses how a command's progress is shown; nil is not at all. With
// --json standard error has only objects, and standard output has progress only
// where it is part of the answer.
func (a *app) painter(n need) painter {
	mode := a.global.progress
	switch {
	case mode == progressOff || n.draws:
		return nil
	case a.global.json && (n.stream || mode == progressJSON):
		return &jsonPainter{app: a, w: a.stdout}
	case mode == progressJSON:
		return &jsonPainter{app: a, w: a.stderr}
	case a.global.quiet && mode == progressAuto:
		return nil
	case mode == progressAuto && a.moving(a.stderr):
		return &screenPainter{console: a.stderr, style: a.style(a.stderr), screen: a.screen}
	case a.global.json && mode == progressAuto:
		return nil
	}
	return &plainPainter{w: a.stderr, style: style{unicode: a.unicode()}}
}
