package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestParseHelp(t *testing.T) {
	const text = `Does a thing. The kinds:

  one   the first

Usage:
  vidsync do THING [flags]
  vidsync do [command]

Examples:
  vidsync do it   # now

Things:
  add         make one
  rm          lose one

Flags:
  -h, --help         help for do
  -o, --output P     where to (env VIDSYNC_OUTPUT)
      --now          at once

Global Flags:
  -q, --quiet   less

Additional help topics:
  vidsync how-to what to do

Use "vidsync do [command] --help" for more information about a command.
`
	want := help{
		about:    "Does a thing. The kinds:\n\n  one   the first",
		usage:    "vidsync do THING [flags]",
		examples: "  vidsync do it   # now\n",
		groups:   []commandGroup{{"Things", []entry{{"add", "make one"}, {"rm", "lose one"}}}},
		flags:    []entry{{"-o, --output P", "where to (env VIDSYNC_OUTPUT)"}, {"--now", "at once"}},
		global:   []entry{{"-q, --quiet", "less"}},
		topics:   []entry{{"how-to", "what to do"}},
	}
	if got := parseHelp(text); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := parseHelp("A topic.\n\n  0  done\n"); got.about != "A topic.\n\n  0  done" || got.usage != "" {
		t.Errorf("topic: %+v", got)
	}
}

// TestManual checks that the page names every command, and that no line of text
// is taken for a request.
func TestManual(t *testing.T) {
	text, err := manual("1.2.3", "2026-11-23")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`.TH VIDSYNC 1 "2026-11-23" "vidsync 1.2.3" "User Commands"`,
		"vidsync \\- bring", `.SS "vidsync fetch REF"`, `.SS "vidsync peer add MULTIADDR\-or\-ID"`, `.SS "vidsync config show"`,
		`.B "\-o, \-\-output PATH"`, `.B "\-\-home folder"`, `.SH "EXIT STATUS"`, "130  interrupted", "transcribe.engine", "/etc/vidsync/config.toml",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the manual lacks %q", want)
		}
	}
	request := regexp.MustCompile(`^\.(TH|SH|SS|TP|B|PP|nf|fi)( ".*")?$`)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if (strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'")) && !request.MatchString(line) && !strings.HasPrefix(line, ".TH ") {
			t.Errorf("not a known request: %q", line)
		}
	}
}

func TestEscape(t *testing.T) {
	p := &page{}
	p.line(`.so C:\a -b 'c' ~/x`)
	if got, want := p.String(), `\&.so C:\ea \-b \(aqc\(aq \(ti/x`+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestConfigFile takes all settings out of their comments: the file must be
// valid and say what is the default anyway.
func TestConfigFile(t *testing.T) {
	text, err := configFile()
	if err != nil {
		t.Fatal(err)
	}
	want, err := defaults()
	if err != nil {
		t.Fatal(err)
	}
	commented := filepath.Join(t.TempDir(), "commented.toml")
	active := filepath.Join(t.TempDir(), "active.toml")
	set := regexp.MustCompile(`(?m)^#([a-z-]+ = )`).ReplaceAllString(text, "$1")
	for path, content := range map[string]string{commented: text, active: set} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, origin := range map[string]string{commented: "default", active: "file " + active} {
		for i, got := range shown(t, path) {
			if string(got.Value) != string(want[i].Value) || got.Key != want[i].Key || got.Origin != origin {
				t.Errorf("%s: got %s=%s of %s, want %s=%s of %s", filepath.Base(path), got.Key, got.Value, got.Origin, want[i].Key, want[i].Value, origin)
			}
		}
	}
	if n := strings.Count(text, "\n# "); n < len(want) {
		t.Errorf("%d comments for %d settings", n, len(want))
	}
	if strings.Contains(text, "\n# \n") {
		t.Error("a setting is not explained")
	}
}

// shown is the configuration that is in force with a file.
func shown(t *testing.T, path string) (all []shownSetting) {
	t.Helper()
	text, err := vidsync("--config", path, "config", "show", "--json")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		var s shownSetting
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		t.Fatal("no settings")
	}
	return all
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if err := write(dir, "1", "2026-01-02"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"vidsync.1": ".TH", "config.toml": "#listen = ", "vidsync.bash": "complete", "_vidsync": "#compdef vidsync", "vidsync.fish": "complete -c vidsync",
	} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(data), want) {
			t.Errorf("%s: %v, want %q in it", name, err, want)
		}
	}
}
