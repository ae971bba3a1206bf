package cli

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// column is a column of a table.
type column struct {
	title  string
	number bool // set to the right
	free   bool // of any length: cut short on a terminal
}

// longestCell is how much of a free column a terminal shows.
const longestCell = 40

// printTable prints rows below their titles, in columns that line up, without
// borders. Without rows it prints nothing.
func (a *app) printTable(columns []column, rows [][]string) error {
	return a.printRows(columns, rows, make([]int, len(columns)), true)
}

// printRows is printTable for a part of a table. The columns are as wide as
// widths says, or wider.
func (a *app) printRows(columns []column, rows [][]string, widths []int, titled bool) error {
	if len(rows) == 0 {
		return nil
	}
	t := table.NewWriter()
	t.SetStyle(plainTable())
	t.SuppressTrailingSpaces()
	titles := table.Row{}
	var configs []table.ColumnConfig
	for i, c := range columns {
		titles = append(titles, c.title)
		config := table.ColumnConfig{Number: i + 1, WidthMin: widths[i]}
		if c.number {
			config.Align, config.AlignHeader = text.AlignRight, text.AlignRight
		}
		if c.free && a.screen(a.stdout).terminal {
			config.WidthMax, config.WidthMaxEnforcer = longestCell, snip
		}
		configs = append(configs, config)
	}
	t.SetColumnConfigs(configs)
	if titled {
		t.AppendHeader(titles)
	}
	for _, row := range rows {
		cells := table.Row{}
		for _, cell := range row {
			cells = append(cells, cell)
		}
		t.AppendRow(cells)
	}
	_, err := fmt.Fprintln(a.stdout, t.Render())
	return err
}

func snip(cell string, longest int) string { return text.Snip(cell, longest, "…") }

func plainTable() table.Style {
	s := table.StyleDefault
	s.Options = table.OptionsNoBordersAndSeparators
	s.Box.PaddingLeft = ""
	s.Box.PaddingRight = "  "
	s.Format.Header = text.FormatUpper
	return s
}

// rows prints many results: an object or the bare form of each, or for people
// one table.
func rows[T any](a *app, kind string, all []T, bare func(T) string, columns []column, cells func(T) []string) error {
	var lines [][]string
	for _, v := range all {
		if a.global.json || a.global.quiet {
			if err := a.answer(kind, v, bare(v), ""); err != nil {
				return err
			}
			continue
		}
		lines = append(lines, cells(v))
	}
	return a.printTable(columns, lines)
}
