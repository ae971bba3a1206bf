package cli

import (
	"bufio"
	"iter"

	"github.com/jedib0t/go-pretty/v6/text"
)

const (
	// flowRows is how many rows of a table are set together.
	flowRows = 1000
	// flowBytes is how much of an answer is written at once.
	flowBytes = 64 << 10
)

// flow prints results as they come, however many: an object or the bare form of
// each, or for people a table. Its columns are as wide as the first rows need;
// later ones may be wider. It tells how many there were.
func flow[T any](a *app, kind string, all iter.Seq2[T, error], bare func(T) string, columns []column, cells func(T) []string) (n int, err error) {
	if a.global.json || a.global.quiet {
		return flowAnswers(a, kind, all, bare)
	}
	t := &flowTable{app: a, columns: columns, widths: make([]int, len(columns))}
	for v, err := range all {
		if err == nil {
			n++
			err = t.add(cells(v))
		}
		if err != nil {
			return n, err
		}
	}
	return n, t.print()
}

func flowAnswers[T any](a *app, kind string, all iter.Seq2[T, error], bare func(T) string) (n int, err error) {
	w := bufio.NewWriterSize(a.stdout, flowBytes)
	for v, err := range all {
		if err == nil {
			n++
			err = a.answerTo(w, kind, v, bare(v), "")
		}
		if err != nil {
			w.Flush() // what came is right; the error to tell is this one
			return n, err
		}
	}
	return n, w.Flush()
}

// flowTable is a table that is printed in parts.
type flowTable struct {
	app     *app
	columns []column
	widths  []int // so far
	rows    [][]string
	begun   bool
}

func (t *flowTable) add(row []string) error {
	t.rows = append(t.rows, row)
	if len(t.rows) < flowRows {
		return nil
	}
	return t.print()
}

// print prints the rows that are there.
func (t *flowTable) print() error {
	for _, row := range t.rows {
		for i, cell := range row {
			width := text.StringWidthWithoutEscSequences(cell)
			if t.columns[i].free && t.app.screen(t.app.stdout).terminal {
				width = min(width, longestCell)
			}
			t.widths[i] = max(t.widths[i], width)
		}
	}
	rows := t.rows
	t.rows = nil
	titled := !t.begun
	t.begun = true
	return t.app.printRows(t.columns, rows, t.widths, titled)
}
