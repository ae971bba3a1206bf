package main

import (
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1}, 5},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		before := strings.Clone(shorts(c.values))
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
		if shorts(c.values) != before {
			t.Errorf("median changed its argument to %v", c.values)
		}
	}
}

func shorts(values []float64) string {
	var all []string
	for _, v := range values {
		all = append(all, short(v))
	}
	return strings.Join(all, " ")
}

// Ratios are made in each round, so that their median is not that of figures
// from different rounds.
func TestRatios(t *testing.T) {
	r := newResults()
	for _, figures := range [][2]float64{{100, 200}, {300, 400}, {90, 100}} {
		round := map[key]float64{}
		r.add("loopback", []figure{{"fetch", "MB/s", figures[0]}}, round)
		r.add("stream", []figure{{"rate", "MB/s", figures[1]}}, round)
		r.addRatios(round)
	}
	got := r.values[key{"loopback", "fetch / raw stream"}]
	if shorts(got) != "0.500 0.750 0.900" {
		t.Errorf("ratios %v", got)
	}
	if _, made := r.values[key{"loopback", "fetch / rsync"}]; made {
		t.Error("a ratio to a figure that was not measured")
	}
}

func TestRatioCombines(t *testing.T) {
	round := map[key]float64{{"a", "x"}: 12, {"b", "x"}: 2, {"c", "x"}: 4}
	over := []key{{"b", "x"}, {"c", "x"}}
	for name, c := range map[string]struct {
		combine func(a, b float64) float64
		want    float64
	}{"sum": {plus, 2}, "lesser": {lesser, 6}} {
		got, ok := ratio{figure: key{"a", "x"}, over: over, combine: c.combine}.of(round)
		if !ok || got != c.want {
			t.Errorf("%s: %v, %v, want %v", name, got, ok, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	r := newResults()
	r.skip("rsync", "no rsync on PATH")
	for _, v := range []float64{10, 1234.5, 0.0123} {
		r.add("hash", []figure{{"rate", "MB/s", v}}, map[key]float64{})
	}
	var out strings.Builder
	if err := r.table(&out, []string{"2 cores"}); err != nil {
		t.Fatal(err)
	}
	want := `2 cores

case  figure  median  unit  lowest  highest  runs

hash  rate    10.0    MB/s  0.0123  1234     3

not run: rsync: no rsync on PATH
`
	if got := out.String(); got != want {
		t.Errorf("table:\n%s\nwant:\n%s", got, want)
	}
}

func TestByteCount(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "4096": 4096, "256M": 256 << 20, "4G": 4 << 30, "4GiB": 4 << 30, "8589934592": 8 << 30} {
		var c byteCount
		if err := c.Set(text); err != nil || int64(c) != want {
			t.Errorf("%q is %d (%v), want %d", text, c, err, want)
		}
	}
	for _, text := range []string{"", "G", "x", "1X", "-"} {
		if err := new(byteCount).Set(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}
