package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// table prints the medians for people.
func (r *results) table(w io.Writer, machine []string) error {
	var out strings.Builder
	for _, fact := range machine {
		if fact != "" {
			fmt.Fprintln(&out, fact)
		}
	}
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\ncase\tfigure\tmedian\tunit\tlowest\thighest\truns")
	for _, name := range r.cases {
		if r.skipped[name] == "" {
			fmt.Fprintln(t, "\t\t\t\t\t\t")
		}
		for _, k := range r.order {
			if k.in == name {
				v := r.values[k]
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", name, k.figure, short(median(v)), r.unit[k],
					short(slices.Min(v)), short(slices.Max(v)), len(v))
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, name := range r.cases {
		if reason := r.skipped[name]; reason != "" {
			fmt.Fprintf(&out, "\nnot run: %s: %s\n", name, reason)
		}
	}
	_, err := io.WriteString(w, trimLines(out.String()))
	return err
}

// trimLines drops the spaces that the table's cells leave at the ends of lines.
func trimLines(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimRight(line, " \n"))
		out.WriteByte('\n')
	}
	return out.String()
}

// short has three significant digits, and all digits before the point.
func short(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	decimals := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', min(4, max(0, decimals)), 64)
}

// jsonLines prints the same for programs: one object a line.
func (r *results) jsonLines(w io.Writer, machine []string) error {
	enc := json.NewEncoder(w)
	err := enc.Encode(map[string]any{"message_type": "machine", "facts": machine})
	for _, name := range r.cases {
		if reason := r.skipped[name]; reason != "" && err == nil {
			err = enc.Encode(map[string]any{"message_type": "skipped", "case": name, "reason": reason})
		}
	}
	for _, k := range r.order {
		if err != nil {
			return err
		}
		err = enc.Encode(map[string]any{
			"message_type": "figure", "case": k.in, "figure": k.figure, "unit": r.unit[k],
			"median": median(r.values[k]), "runs": r.values[k],
		})
	}
	return err
}
