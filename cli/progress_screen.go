package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
)

// Lines are drawn here and not by a library: those at hand draw a bar a task,
// with a fixed set of columns. One fetch wants one bar that gives up columns as
// the terminal narrows, a second line with each peer's share, and a sign of
// life where there is nothing to count.

const (
	// A short call shows nothing: neither one that reports nothing for
	// silentTime, nor one that is done within briefTime.
	silentTime = time.Second
	briefTime  = 250 * time.Millisecond
	// staleTime without a report is said instead of a time to go that may no
	// longer be true.
	staleTime = 2 * time.Second

	maxNameWidth = 40
	maxBarWidth  = 40
)

// screenPainter draws one or two lines on a terminal, again and again.
type screenPainter struct {
	console *console
	style   style
	screen  func(io.Writer) screen
}

func (p *screenPainter) paint(v view) error {
	age := v.now.Sub(v.began)
	if age < briefTime || v.reports == 0 && age < silentTime {
		return nil
	}
	width := p.screen(p.console).width - 1 // a full line would wrap
	return p.console.draw(frame(v, width, p.style))
}

func (p *screenPainter) end(view) error { return p.console.clear() }

// shape says which columns a line has, and the least width of two of them.
type shape struct {
	name, bar          int
	amount, rate, time bool
}

// shapes go from wide to narrow: a line takes the first one that fits.
var shapes = []shape{
	{name: 16, bar: 12, amount: true, rate: true, time: true},
	{name: 12, bar: 10, rate: true, time: true},
	{name: 10, bar: 8, time: true},
	{name: 8, time: true},
	{time: true},
	{},
}

// frame is what the terminal shows at one moment: at most width columns wide.
func frame(v view, width int, st style) []string {
	lines := []string{progressLine(v, width, st)}
	if second := sharesLine(v.latest, st); second != "" {
		lines = append(lines, cut("  "+second, width, st))
	}
	return lines
}

func progressLine(v view, width int, st style) string {
	f := factsOf(v)
	head := spinner(v, st) + " " + f.phase
	for _, s := range shapes {
		if line, ok := s.line(v, f, head, width, st); ok {
			return line
		}
	}
	return cut(head, width, st)
}

// line puts the columns together, if they fit into width. Room to spare goes to
// the name, then to the bar.
func (s shape) line(v view, f facts, head string, width int, st style) (string, bool) {
	tail := ""
	for _, part := range []struct {
		shown bool
		width int // at least, so that the line does not jump with every digit
		text  string
	}{{true, 4, f.percent}, {s.amount, 0, f.amount}, {s.rate, 8, f.rate}, {s.time, 0, f.end}} {
		if part.shown && part.text != "" {
			tail += "  " + fmt.Sprintf("%*s", part.width, part.text)
		}
	}
	name := clean(v.latest.Name)
	spare := width - text.StringWidth(head) - text.StringWidth(tail)
	nameWidth, barWidth := min(s.name, text.StringWidth(name)), s.bar
	if v.latest.Size <= 0 {
		barWidth = 0
	}
	spare -= gap(nameWidth) + gap(barWidth)
	if spare < 0 {
		return "", false
	}
	if nameWidth > 0 {
		more := min(spare, max(0, min(maxNameWidth, text.StringWidth(name))-nameWidth))
		nameWidth, spare = nameWidth+more, spare-more
		head += "  " + cut(name, nameWidth, st)
	}
	if barWidth > 0 {
		head += "  " + bar(v.latest.Done, v.latest.Size, min(barWidth+spare, maxBarWidth), st)
	}
	return head + tail, true
}

// gap is the width of a column with the two spaces before it.
func gap(width int) int {
	if width == 0 {
		return 0
	}
	return width + 2
}

// cut shortens text to width columns.
func cut(s string, width int, st style) string {
	if text.StringWidth(s) <= width {
		return s
	}
	mark := st.ellipsis()
	if width <= len(mark) {
		return text.Trim(s, max(width, 0))
	}
	return text.Trim(s, width-text.StringWidth(mark)) + mark
}
