package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/cli"
)

// shown is a line of config show --json.
type shown struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Origin string `json:"origin"`
}

// configShow runs config show with files and gives the settings by key.
func configShow(t *testing.T, home, system string, env []string, flags ...string) map[string]shown {
	t.Helper()
	args := append([]string{"--json", "config", "show"}, flags...)
	o := invoke(t, t.Context(), cli.Invocation{Args: args, Env: append(env, "VIDSYNC_HOME="+home), SystemConfig: system})
	if o.code != 0 {
		t.Fatalf("exit code %d: %s", o.code, o.stderr)
	}
	all := map[string]shown{}
	for line := range strings.Lines(o.stdout) {
		var s shown
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		all[s.Key] = s
	}
	return all
}

func writeConfig(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPrecedence: flag, environment, user's file, system's file, default.
func TestPrecedence(t *testing.T) {
	home, system := t.TempDir(), t.TempDir()
	user := writeConfig(t, home, `log-level = "warn"
videos = "/user"
[transcribe]
language = "de"
`)
	global := writeConfig(t, system, `log-level = "error"
videos = "/system"
mdns = false
listen = ["/ip4/127.0.0.1/tcp/1"]
`)
	env := []string{"VIDSYNC_LOG_LEVEL=info", "VIDSYNC_TRANSCRIBE_LANGUAGE=fr", "VIDSYNC_VIDEOS="}
	got := configShow(t, home, system, env, "--log-level", "debug")
	for _, want := range []shown{
		{"log-level", "debug", "flag --log-level"},
		{"transcribe.language", "fr", "env VIDSYNC_TRANSCRIBE_LANGUAGE"},
		{"videos", "/user", "file " + user},
		{"mdns", false, "file " + global},
		{"log-format", "text", "default"},
	} {
		if got[want.Key] != want {
			t.Errorf("%s: got %v, want %v", want.Key, got[want.Key], want)
		}
	}
	got = configShow(t, home, system, env)
	if want := (shown{"log-level", "info", "env VIDSYNC_LOG_LEVEL"}); got["log-level"] != want {
		t.Errorf("got %v, want %v", got["log-level"], want)
	}
}

func TestEnvironmentOfFlags(t *testing.T) {
	got := configShow(t, t.TempDir(), t.TempDir(), []string{"VIDSYNC_NO_MDNS=1", "VIDSYNC_LISTEN=/a /b,/c", "VIDSYNC_TRANSCRIBE_JOBS=3"})
	if got["mdns"].Value != false || got["mdns"].Origin != "env VIDSYNC_NO_MDNS" {
		t.Errorf("mdns is %v", got["mdns"])
	}
	if list, ok := got["listen"].Value.([]any); !ok || len(list) != 3 {
		t.Errorf("listen is %v, want three addresses", got["listen"])
	}
	if got["transcribe.jobs"].Value != 3.0 {
		t.Errorf("jobs is %v, want 3", got["transcribe.jobs"])
	}
}

func TestSecretIsNotShown(t *testing.T) {
	for _, args := range [][]string{{"config", "show"}, {"-q", "config", "show"}, {"--json", "config", "show"}} {
		o := run(t, cli.Nodes{}, []string{"VIDSYNC_TRANSCRIBE_OPENAI_KEY=sk-1234"}, args...)
		if o.code != 0 || strings.Contains(o.stdout+o.stderr, "sk-1234") || !strings.Contains(o.stdout, "(set)") {
			t.Errorf("%v: got %+v, want (set) for the key", args, o)
		}
	}
}

// TestDaemonFlags: what the daemon is told reaches the engine.
func TestDaemonFlags(t *testing.T) {
	home := t.TempDir()
	writeConfig(t, home, `listen = ["/file"]`)
	var videos, socket string
	var listen []string
	nodes := cli.Nodes{
		OpenErr: func() error { return os.ErrClosed },
		Opened:  func(v, s string, l []string) { videos, socket, listen = v, s, l },
	}
	env := []string{"VIDSYNC_HOME=" + home, "VIDSYNC_LISTEN=/env"}
	if o := run(t, nodes, env, "daemon", "--listen", "/flag1", "--listen", "/flag2"); o.code != 1 {
		t.Fatalf("got %+v", o)
	}
	if strings.Join(listen, " ") != "/flag1 /flag2" || videos != home+"/videos" || socket != home+"/vidsync.sock" {
		t.Errorf("engine was told %q, %q, %q", videos, socket, listen)
	}
}

func TestPlaces(t *testing.T) {
	xdg := t.TempDir()
	for _, test := range []struct {
		name           string
		env            []string
		videos, socket string
	}{
		{"home", []string{"VIDSYNC_HOME=/h"}, "/h/videos", "/h/vidsync.sock"},
		{"service", []string{"STATE_DIRECTORY=/s:/other", "RUNTIME_DIRECTORY=/r"}, "/s/videos", "/r/vidsync.sock"},
		{"service without runtime folder", []string{"STATE_DIRECTORY=/s"}, "/s/videos", "/run/vidsync/vidsync.sock"},
		{"user", []string{"XDG_DATA_HOME=/d", "XDG_STATE_HOME=/s", "XDG_RUNTIME_DIR=" + xdg}, "/d/vidsync/videos", xdg + "/vidsync/vidsync.sock"},
		{"no session", []string{"XDG_DATA_HOME=/d", "XDG_STATE_HOME=/s", "XDG_RUNTIME_DIR=/nonexistent"}, "/d/vidsync/videos", "/s/vidsync/vidsync.sock"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var videos, socket string
			nodes := cli.Nodes{
				OpenErr: func() error { return os.ErrClosed },
				Opened:  func(v, s string, _ []string) { videos, socket = v, s },
			}
			env := append([]string{"VIDSYNC_HOME=", "XDG_CONFIG_HOME=/nonexistent"}, test.env...)
			run(t, nodes, env, "ls")
			if videos != test.videos || socket != test.socket {
				t.Errorf("got %s and %s, want %s and %s", videos, socket, test.videos, test.socket)
			}
		})
	}
}

func TestConfigMistakes(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"unknown key", `lisen = []`, `unknown key "lisen"; did you mean "listen"?`},
		{"unknown key in section", "[transcribe]\nengin = \"x\"", `unknown key "transcribe.engin"; did you mean "transcribe.engine"?`},
		{"unknown section", "[network]\na = 1", `unknown key "network"`},
		{"quoted key", `"transcribe.engine" = "x"`, `unknown key "transcribe.engine"`},
		{"syntax", "mdns = true\nopen = maybe", "line 2: "},
		{"twice", "mdns = true\nmdns = false", "line 2: "},
		{"kind", `mdns = "yes"`, "mdns: must be true or false"},
		{"list", `listen = [1]`, "listen: must be a list of texts"},
		{"count", "[transcribe]\njobs = -1", "transcribe.jobs: must be a number of 0 or more"},
		{"choice", `log-level = "loud"`, `log-level: "loud" is not one of debug, info, warn, error`},
		{"relative", `videos = "here"`, `"here" is not an absolute path`},
	} {
		t.Run(test.name, func(t *testing.T) {
			home := t.TempDir()
			path := writeConfig(t, home, test.text)
			o := run(t, cli.Nodes{}, []string{"VIDSYNC_HOME=" + home}, "config", "show")
			if o.code != 2 || !strings.Contains(o.stderr, path) || !strings.Contains(o.stderr, test.want) {
				t.Errorf("got %+v, want exit code 2 and %q about %s", o, test.want, path)
			}
		})
	}
}

func TestConfigFlag(t *testing.T) {
	if o := run(t, cli.Nodes{}, nil, "--config", "/nonexistent/x.toml", "config", "show"); o.code != 2 {
		t.Errorf("got %+v, want exit code 2: a file that is named must be there", o)
	}
	path := writeConfig(t, t.TempDir(), `open = true`)
	o := run(t, cli.Nodes{}, nil, "--config", path, "-q", "config", "show")
	if !strings.Contains(o.stdout, "open=true\n") {
		t.Errorf("got %+v, want open=true", o)
	}
}
