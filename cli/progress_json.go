package cli

import (
	"io"
	"time"
)

// jsonInterval keeps progress objects to 4 a second.
const jsonInterval = 250 * time.Millisecond

// jsonPainter prints a progress object for news.
type jsonPainter struct {
	app     *app
	w       io.Writer
	printed int // reports that were known at the last object
	last    time.Time
}

func (p *jsonPainter) paint(v view) error {
	if v.reports == p.printed || v.now.Sub(p.last) < jsonInterval {
		return nil
	}
	p.printed, p.last = v.reports, v.now
	return p.app.printJSON(p.w, "progress", v.latest)
}

func (p *jsonPainter) end(v view) error { return p.paint(v) }
