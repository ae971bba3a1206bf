package main

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Both trials, short and small. What this machine does not permit is left out,
// and said to be.
func TestTrials(t *testing.T) {
	if testing.Short() {
		t.Skip("starts daemons and kills them")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"field", "edges"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var stdout, stderr bytes.Buffer
			args := []string{"-vidsync", self, "-dir", dir, "-seed", "9", "-largest", "10", "-only", name, "-chaos", "4s", "-files", "4", "-edges", "2"}
			if err := run(t.Context(), args, &stdout, &stderr); err != nil {
				t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
			}
			t.Log(stdout.String())
			if !strings.Contains(stdout.String(), "1 trials ("+name+" 1)") && !strings.Contains(stderr.String(), "left out") {
				t.Errorf("neither done nor left out: %s%s", &stdout, &stderr)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestDrawRecordings(t *testing.T) {
	draw := func(seed uint64) []recording {
		return drawRecordings(rand.New(rand.NewPCG(seed, 1)), 200, 30*mb, time.Minute)
	}
	plan := draw(1)
	if !slices.Equal(plan, draw(1)) || slices.Equal(plan, draw(2)) {
		t.Error("the plan does not follow from the seed")
	}
	paths, twins, temporary := map[string]bool{}, 0, 0
	for _, r := range plan {
		paths[r.rel] = true
		if r.size < leastRecording || r.size > 30*mb || r.start > time.Minute || r.took > max(longestRecording, time.Duration(r.size*int64(time.Second)/leastLongRate)) {
			t.Errorf("%+v", r)
		}
		if r.temporary {
			temporary++
		}
	}
	for _, same := range byContent(plan) {
		twins += len(same) - 1
	}
	if len(paths) != 200 || twins == 0 || temporary == 0 || plan[0].size != 30*mb {
		t.Errorf("%d paths, %d twins, %d temporary, the first has %d bytes", len(paths), twins, temporary, plan[0].size)
	}
}

// What the rule is there to find, it finds.
func TestCheckTree(t *testing.T) {
	plan := []recording{
		{rel: "a b.mp4", stream: 1, size: 2000}, {rel: "sub/c.mp4", stream: 2, size: 3000}, {rel: "twin.mp4", stream: 1, size: 2000},
	}
	for name, c := range map[string]struct {
		files map[string]recording
		rule  string // that is violated; empty: none
	}{
		"all":           {files: map[string]recording{"a b.mp4": plan[0], "sub/c.mp4": plan[1]}},
		"the twin":      {files: map[string]recording{"twin.mp4": plan[2], "sub/c.mp4": plan[1]}},
		"both twins":    {map[string]recording{"a b.mp4": plan[0], "twin.mp4": plan[2], "sub/c.mp4": plan[1]}, "every file arrives once"},
		"one missing":   {map[string]recording{"a b.mp4": plan[0]}, "every file arrives once"},
		"another place": {map[string]recording{"a b.mp4": plan[0], "c.mp4": plan[1]}, "every file arrives once"},
		"cut":           {map[string]recording{"a b.mp4": plan[0], "sub/c.mp4": {stream: 2, size: 2999}}, "what arrives is equal"},
		"changed":       {map[string]recording{"a b.mp4": plan[0], "sub/c.mp4": {stream: 3, size: 3000}}, "what arrives is equal"},
		"unfinished":    {map[string]recording{"a b.mp4": plan[0], "sub/c.mp4": plan[1], "sub/c.mp4.part": plan[1]}, "nothing else is left behind"},
		"second copy":   {map[string]recording{"a b.mp4": plan[0], "sub/c.mp4": plan[1], "sub/c (2).mp4": plan[1]}, "nothing else is left behind"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			for rel, r := range c.files {
				r.rel = rel
				if err := (&drop{recording: r}).make(folder); err != nil {
					t.Fatal(err)
				}
			}
			checkRule(t, checkTree(folder, plan), c.rule)
		})
	}
}

func TestCheckCollided(t *testing.T) {
	plan := []recording{{stream: 1, size: 2000}, {stream: 2, size: 2000}}
	for name, c := range map[string]struct {
		files map[string]recording
		rule  string
	}{
		"both":     {files: map[string]recording{"c.mp4": plan[1], "c (2).mp4": plan[0]}},
		"replaced": {map[string]recording{"c.mp4": plan[1]}, "files with one name do not replace each other"},
		"twice":    {map[string]recording{"c.mp4": plan[1], "c (2).mp4": plan[0], "c (3).mp4": plan[0]}, "nothing else is left behind"},
	} {
		t.Run(name, func(t *testing.T) {
			e := &edges{shared: t.TempDir()}
			for rel, r := range c.files {
				r.rel = "same day/" + rel
				if err := (&drop{recording: r}).make(e.shared); err != nil {
					t.Fatal(err)
				}
			}
			checkRule(t, e.checkCollided(plan), c.rule)
		})
	}
}

func TestCheckWaits(t *testing.T) {
	e := &edges{all: []*edge{{node: &node{name: "edges 1 edge1"}}}}
	of := func(waits ...time.Duration) (drawn []*drop) {
		for _, w := range waits {
			at := time.Now()
			drawn = append(drawn, &drop{at: at, arrived: at.Add(w)})
		}
		return drawn
	}
	checkRule(t, e.checkWaits(of(time.Second, time.Second, 29*time.Second)), "")
	checkRule(t, e.checkWaits(of(5*time.Second, 5*time.Second, 49*time.Second)), "")
	checkRule(t, e.checkWaits(of(time.Second, time.Second, 31*time.Second)), "no edge starves")
}

// Everything that was broken is well again in the end.
func TestBreakThings(t *testing.T) {
	s := &soak{diary: slog.New(slog.DiscardHandler)}
	down, downs := 0, 0
	f := &fault{
		name: "it", most: 24 * time.Hour,
		down: func(context.Context, *rand.Rand) (string, error) { down++; downs++; return "broken", nil },
		up:   func(context.Context) error { down--; return nil },
	}
	rng := rand.New(rand.NewPCG(1, 1))
	count := map[string]int{}
	for range 3 { // while it is away it is left alone
		if err := s.breakOne(t.Context(), rng, f, count); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.breakThings(t.Context(), rng, []*fault{f}, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if down != 0 || downs != 1 || count["broken"] != 1 {
		t.Errorf("it went %d times, %d are missing, counted %v", downs, down, count)
	}
}

func TestMemoryOf(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no /proc here")
	}
	now, most := memoryOf(os.Getpid(), "VmRSS"), memoryOf(os.Getpid(), "VmHWM")
	if now < 1<<20 || most < 1<<20 || most > 1<<40 {
		t.Errorf("%d bytes now, %d at most", now, most)
	}
}
