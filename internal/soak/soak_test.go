package main

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/api"
)

// Two rounds with small videos, and real processes.
func TestRounds(t *testing.T) {
	if testing.Short() {
		t.Skip("starts daemons and kills them")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	args := []string{"-vidsync", self, "-dir", dir, "-seed", "9", "-rounds", "2", "-largest", "20"}
	if err := run(t.Context(), args, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
	}
	t.Log(stdout.String())
	if out := stdout.String(); !strings.Contains(out, "2 rounds") || strings.Contains(out, " 0 kills,") {
		t.Errorf("summary of two rounds: %s", out)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDraw(t *testing.T) {
	count := func(seed uint64) map[string]int {
		drawn := map[string]int{}
		for n := range 10 * rareEvery {
			drawn[draw(seed, n, rand.New(rand.NewPCG(seed, uint64(n)))).name]++
		}
		return drawn
	}
	drawn, again, other := count(1), count(1), count(2)
	same := true
	for _, k := range kinds {
		if drawn[k.name] != again[k.name] || drawn[k.name] == 0 {
			t.Errorf("%s was drawn %d times, and %d with the same seed", k.name, drawn[k.name], again[k.name])
		}
		if k.weight == 0 && drawn[k.name] != 10 {
			t.Errorf("%s was drawn %d times in %d rounds", k.name, drawn[k.name], 10*rareEvery)
		}
		same = same && drawn[k.name] == other[k.name]
	}
	if same {
		t.Error("another seed draws the same")
	}
}

func TestVideoFollowsFromTheSeed(t *testing.T) {
	dir := t.TempDir()
	s := &soak{options: options{dir: dir, seed: 4, largest: 10}, n: 1}
	first, _ := s.plan()
	again, _ := s.plan()
	again.video.path += ".again"
	s.seed++
	other, _ := s.plan()
	other.video.path += ".other"
	for _, r := range []*round{first, again, other} {
		if err := r.video.write(); err != nil {
			t.Fatal(err)
		}
	}
	if err := sameBytes(first.video.path, again.video.path); err != nil {
		t.Error(err)
	}
	if sameBytes(first.video.path, other.video.path) == nil {
		t.Error("another seed makes the same video")
	}
}

// What the rules are there to find, they find.
func TestCheckFolder(t *testing.T) {
	whole := bytes.Repeat([]byte("video"), 500_000)
	changed := bytes.Clone(whole)
	changed[len(whole)-1]++
	for name, c := range map[string]struct {
		files map[string][]byte
		rule  string // that is violated; empty: none
	}{
		"nothing":      {},
		"whole":        {files: map[string][]byte{"a b.mp4": whole}},
		"unfinished":   {files: map[string][]byte{"a b.mp4.part": changed}},
		"transcript":   {files: map[string][]byte{"a b.mp4": whole, "a b.srt": nil}},
		"changed":      {map[string][]byte{"a b.mp4": changed}, "a final name is a whole video's"},
		"cut":          {map[string][]byte{"a b.mp4": whole[:len(whole)-1]}, "a final name is a whole video's"},
		"longer":       {map[string][]byte{"a b.mp4": append(changed[:len(whole)-1:len(whole)-1], "os"...)}, "a final name is a whole video's"},
		"second copy":  {map[string][]byte{"a b.mp4": whole, "a b (2).mp4": whole}, "no second copy"},
		"another file": {map[string][]byte{"b.mp4": whole}, "nothing else is left behind"},
	} {
		t.Run(name, func(t *testing.T) {
			v := video{name: "a b.mp4", path: filepath.Join(t.TempDir(), "source")}
			folder := t.TempDir()
			for name, data := range c.files {
				if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(v.path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			checkRule(t, checkFolder(folder, v), c.rule)
		})
	}
}

// checkRule makes sure that err is the violation of a rule; empty: none.
func checkRule(t *testing.T, err error, rule string) {
	t.Helper()
	found, ok := errors.AsType[*violation](err)
	if ok != (rule != "") || ok && found.rule != rule || !ok && err != nil {
		t.Errorf("%v, want a violation of %q", err, rule)
	}
}

func TestCheckResult(t *testing.T) {
	r := &round{floor: 100}
	for _, c := range []struct {
		result api.FetchResult
		ok     bool
	}{
		{api.FetchResult{Size: 150, ResumedBytes: 100, BytesReceived: 50}, true},
		{api.FetchResult{Size: 150, ResumedBytes: 110, BytesReceived: 60, DuplicateBytes: 20}, true},
		{api.FetchResult{Size: 150, ResumedBytes: 99, BytesReceived: 51}, false},
		{api.FetchResult{Size: 150, ResumedBytes: 100, BytesReceived: 51}, false},
	} {
		if err := r.checkResult(c.result); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.result, err)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, args := range [][]string{
		{"-rounds", "0"}, {"-first", "0"}, {"-largest", "1"}, {"-only", "nothing"}, {"-chaos", "0s"}, {"-files", "0"}, {"-edges", "0"}, {"word"}, {"-vidsync", "/nowhere/vidsync"},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out, &out); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}
