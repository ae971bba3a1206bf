package transcribe

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestProgram(t *testing.T) {
	full := errors.New("disk full")
	tests := []struct {
		name   string
		script string
		stdout io.Writer
		check  func(error) bool
	}{
		{"done", "echo out; echo err >&2", nil, func(err error) bool { return err == nil }},
		{"bad exit", "echo first >&2; echo why >&2; exit 3", nil, func(err error) bool {
			return err != nil && err.Error() == "sh: exit status 3: why"
		}},
		{"time limit", "sleep 100", nil, func(err error) bool { return errors.Is(err, errTimeLimit) }},
		{"endless output", "cat /dev/zero", &boundedBuffer{limit: 1000}, func(err error) bool { return errors.Is(err, errOutputLimit) }},
		{"endless line", "cat /dev/zero", &lineWriter{line: func(string) error { return nil }},
			func(err error) bool { return errors.Is(err, errOutputLimit) }},
		{"output refused", "echo a; sleep 100", &lineWriter{line: func(string) error { return full }},
			func(err error) bool { return errors.Is(err, full) }},
		{"endless errors", "head -c 10000000 /dev/zero >&2; exit 1", nil, func(err error) bool {
			exit, ok := errors.AsType[*exitError](err)
			return ok && len(exit.stderr) <= stderrLimit
		}},
		{"left behind", "sleep 100 & exit 0", nil, func(err error) bool { return err != nil }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			limit := 10 * time.Second
			if test.name == "time limit" {
				limit = 50 * time.Millisecond
			}
			p := program{name: "sh", args: []string{"-c", test.script}, limit: limit, stdout: test.stdout}
			if err := p.run(t.Context()); !test.check(err) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestProgramMissing(t *testing.T) {
	for _, name := range []string{"no-such-program", "/nowhere/program", t.TempDir()} {
		err := program{name: name, limit: time.Second}.run(t.Context())
		if !notInstalled(err) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if notInstalled(&exitError{program: "x", err: os.ErrNotExist}) {
		t.Error("a program that ran is called missing")
	}
}

func TestProgramContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := program{name: "sh", args: []string{"-c", "sleep 100"}, limit: time.Minute}.run(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestLineWriter(t *testing.T) {
	var got []string
	w := &lineWriter{line: func(s string) error {
		got = append(got, s)
		return nil
	}}
	for _, part := range []string{"a\nb", "c\r\n\nd", "e\nrest"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if want := "a|bc||de"; strings.Join(got, "|") != want {
		t.Errorf("lines %q, want %q", got, want)
	}
}

// TestCheckpoint reopens a work folder as a crash may leave it.
func TestCheckpoint(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "work")
	c, err := openCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.plan(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("plan of a new folder: %v", err)
	}
	if _, err := openCheckpoint(dir); err == nil {
		t.Error("the folder was opened twice")
	}
	if err := os.WriteFile(c.audioPath(), make([]byte, bytesPerSecond), 0o600); err != nil {
		t.Fatal(err)
	}
	want := plan{Length: 1000, Spans: group([]stretch{{0, 500}, {600, 900}}, 0)}
	if err := c.freeze(want); err != nil {
		t.Fatal(err)
	}
	if _, err := c.resume(2); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"old", "new"} {
		if err := c.add(spanRecord{Span: 1, Segments: []Segment{{Text: text}}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.lines.WriteString(`{"span":0,"segm`); err != nil {
		t.Fatal(err)
	}
	c.close()

	c, err = openCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	got, err := c.plan()
	if err != nil || got.Length != want.Length || len(got.Spans) != 2 || got.Spans[1].ID != 1 || got.Spans[1].End != 900 {
		t.Errorf("plan %+v, %v", got, err)
	}
	records, err := c.resume(2)
	if err != nil || len(records) != 1 || records[1].Segments[0].Text != "new" {
		t.Errorf("records %+v, %v", records, err)
	}
	if err := c.add(spanRecord{Span: 0}); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(c.linesPath()); strings.Count(string(data), "\n") != 3 || strings.Contains(string(data), `segm{`) {
		t.Errorf("lines %q", data)
	}
	if err := os.Truncate(c.audioPath(), 100); err != nil {
		t.Fatal(err)
	}
	if _, err := c.plan(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("plan with the wrong audio: %v", err)
	}
}
