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

func (t *tally) addTrial(name string, took time.Duration) {
	t.rounds[name]++
	t.took += took
}

// ofTrials is the summary when there were no rounds.
func (t *tally) ofTrials() string {
	total, kinds := t.counted()
	if total == 0 {
		return "nothing was done\n"
	}
	return fmt.Sprintf("%d trials (%s), %.0f s in all: no rule was violated\n", total, kinds, t.took.Seconds())
}

// counted is how many rounds or trials there were, of all kinds and of each.
func (t *tally) counted() (total int, kinds string) {
	var each []string
	for _, k := range slices.Sorted(maps.Keys(t.rounds)) {
		each = append(each, fmt.Sprintf("%s %d", k, t.rounds[k]))
		total += t.rounds[k]
	}
	return total, strings.Join(each, ", ")
}

func (t *tally) summary() string {
	total, kinds := t.counted()
	return fmt.Sprintf("%d rounds (%s), %d kills, videos of %d MB, largest index %d kB, longest round %.1f s, %.0f s in all: no rule was violated\n",
		total, kinds, t.kills, t.bytes/mb, t.index/1000, t.longest.Seconds(), t.took.Seconds())
}
