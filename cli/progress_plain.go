package cli

import (
	"fmt"
	"io"
	"time"
)

const (
	plainInterval = 10 * time.Second // between lines, if there is little progress
	plainPercent  = 5                // or after this much
	plainPause    = time.Second      // but never sooner
)

// plainPainter prints a line now and then, for logs and simple terminals.
type plainPainter struct {
	w       io.Writer
	style   style
	last    time.Time
	phase   string
	percent int
}

func (p *plainPainter) paint(v view) error {
	if p.last.IsZero() {
		p.last = v.began
	}
	passed := v.now.Sub(p.last)
	done := percent(v.latest.Done, v.latest.Size)
	due := passed >= plainInterval ||
		passed >= plainPause && (v.latest.Phase != p.phase || done >= p.percent+plainPercent)
	if !due {
		return nil
	}
	p.last, p.phase, p.percent = v.now, v.latest.Phase, done
	_, err := fmt.Fprintln(p.w, plainLine(v, p.style))
	return err
}

func (p *plainPainter) end(view) error { return nil }

// plainLine says everything about a state in one line.
func plainLine(v view, st style) string {
	l := v.latest
	f := factsOf(v)
	line := f.phase
	if l.Name != "" {
		line += " " + clean(l.Name)
	}
	rest := joinNonEmpty(f.percent, f.amount, f.rate, f.end, sharesLine(l, st))
	return line + ": " + rest
}
