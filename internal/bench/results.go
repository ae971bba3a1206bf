package main

import (
	"slices"
)

// key names a figure of a case.
type key struct{ in, figure string }

// results are the figures of all rounds.
type results struct {
	order   []key // as first measured
	unit    map[key]string
	values  map[key][]float64 // one a round
	skipped map[string]string // reason by case
	cases   []string          // as first measured or skipped
}

func newResults() *results {
	return &results{unit: map[key]string{}, values: map[key][]float64{}, skipped: map[string]string{}}
}

func (r *results) skip(name, reason string) {
	r.note(name)
	r.skipped[name] = reason
}

func (r *results) note(name string) {
	if !slices.Contains(r.cases, name) {
		r.cases = append(r.cases, name)
	}
}

// add takes the figures of one run of a case, and puts them in round too.
func (r *results) add(name string, figures []figure, round map[key]float64) {
	r.note(name)
	for _, f := range figures {
		k := key{name, f.name}
		if _, known := r.unit[k]; !known {
			r.order = append(r.order, k)
			r.unit[k] = f.unit
		}
		r.values[k] = append(r.values[k], f.value)
		round[k] = f.value
	}
}

// addRatios compares the figures of one round with each other.
func (r *results) addRatios(round map[key]float64) {
	for _, ratio := range ratios {
		value, ok := ratio.of(round)
		if ok {
			r.add(ratio.name.in, []figure{{ratio.name.figure, "×", value}}, round)
		}
	}
}

// A ratio is one figure over others of the same round.
type ratio struct {
	name    key
	figure  key
	over    []key
	combine func(a, b float64) float64 // what the figures in over are together
}

func plus(a, b float64) float64 { return a + b }

func lesser(a, b float64) float64 { return min(a, b) }

// ratios hold vidsync's figures against the limits and the baselines.
var ratios = []ratio{
	{key{"loopback", "fetch / raw stream"}, key{"loopback", "fetch"}, []key{{"stream", "rate"}}, plus},
	{key{"loopback", "fetch / tuned stream"}, key{"loopback", "fetch"}, []key{{"tuned", "rate"}}, plus},
	{key{"loopback", "fetch / HTTPS PUTs"}, key{"loopback", "fetch"}, []key{{"https", "rate"}}, plus},
	{key{"loopback", "fetch / rsync"}, key{"loopback", "fetch"}, []key{{"rsync", "rate"}}, plus},
	{key{"loopback", "fetch CPU / stream+read+hash+write CPU"}, key{"loopback", "fetch CPU, both ends"},
		[]key{{"stream", "CPU"}, {"read", "CPU"}, {"hash", "CPU"}, {"write", "CPU"}}, plus},
	{key{"loopback", "add / lesser of hash and read"}, key{"loopback", "add"}, []key{{"hash", "rate"}, {"read", "rate"}}, lesser},
}

// of is the ratio in one round; false if a figure of it was not measured.
func (q ratio) of(round map[key]float64) (float64, bool) {
	value, ok := round[q.figure]
	if !ok {
		return 0, false
	}
	total, have := 0.0, false
	for _, k := range q.over {
		v, ok := round[k]
		switch {
		case !ok:
			return 0, false
		case have:
			total = q.combine(total, v)
		default:
			total, have = v, true
		}
	}
	return value / total, have && total > 0
}

// median is the middle of the values, the mean of the two middle ones if their
// number is even. There is at least one.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
