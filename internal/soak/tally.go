package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// tally is what all rounds did.
type tally struct {
	rounds  map[string]int // by kind
	kills   int
	bytes   int64
	index   int64 // the largest
	longest time.Duration
	took    time.Duration
}

func newTally() tally { return tally{rounds: map[string]int{}} }

func (t *tally) add(kind string, r *round, took time.Duration) {
	t.rounds[kind]++
	t.kills += r.kills
	t.bytes += r.video.size
	t.took += took
	t.longest = max(t.longest, took)
	t.index = max(t.index, r.index)
}

func (t *tally) summary() string {
	var kinds []string
	total := 0
	for _, k := range slices.Sorted(maps.Keys(t.rounds)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", k, t.rounds[k]))
		total += t.rounds[k]
	}
	return fmt.Sprintf("%d rounds (%s), %d kills, videos of %d MB, largest index %d kB, longest round %.1f s, %.0f s in all: no rule was violated\n",
		total, strings.Join(kinds, ", "), t.kills, t.bytes/mb, t.index/1000, t.longest.Seconds(), t.took.Seconds())
}
