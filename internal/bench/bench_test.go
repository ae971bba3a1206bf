package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
)

// One round with a small file, and real processes.
func TestSmoke(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	args := []string{"-vidsync", self, "-dir", dir, "-size", "70M", "-runs", "1", "-json",
		"-only", "^(stream|hash|read|write|loopback|https)$"}
	if err := run(t.Context(), args, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	got := figuresIn(t, &stdout)
	for _, want := range []string{
		"stream rate", "hash rate", "read rate", "write rate", "https rate",
		"loopback add", "loopback add again", "loopback fetch", "loopback cat, first byte",
		"loopback fetch / raw stream", "loopback fetch / HTTPS PUTs",
	} {
		if got[want] <= 0 {
			t.Errorf("%s is %v", want, got[want])
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// figuresIn are the medians that a run printed, by case and figure.
func figuresIn(t *testing.T, out *bytes.Buffer) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	for dec := json.NewDecoder(out); dec.More(); {
		var line struct {
			Type   string `json:"message_type"`
			Case   string
			Figure string
			Median float64
		}
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if line.Type == "figure" {
			got[line.Case+" "+line.Figure] = line.Median
		}
	}
	return got
}

func TestTrack(t *testing.T) {
	tr := track{
		after: []time.Duration{1 * time.Second, 5 * time.Second, 9 * time.Second},
		done:  []int64{0, 1000, 5000},
	}
	if rate, ok := tr.rateAfter(5 * time.Second); !ok || rate != 1000 {
		t.Errorf("rate %v, %v, want 1000", rate, ok)
	}
	if _, ok := tr.rateAfter(9 * time.Second); ok {
		t.Error("a rate from one report")
	}
	tr.note(api.Progress{Phase: "finishing", Done: 9000})
	if len(tr.done) != 3 {
		t.Error("a report of another phase was taken")
	}
}

func TestOptions(t *testing.T) {
	for _, args := range [][]string{{"-runs", "0"}, {"-size", "1"}, {"-scale", "0"}, {"word"}, {"-only", "("}, {"-only", "^nothing$"}} {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out, &out); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-list", "-only", "^swarm"}, &out, &out); err != nil || !strings.HasPrefix(out.String(), "swarm ") {
		t.Errorf("list gave %q, %v", out.String(), err)
	}
}
