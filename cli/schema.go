package cli

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/vidsync/vidsync/daemon"
)

// kind is what a setting's value is. Values are held as string (plain, secret),
// bool (truth), int (count), and []string (list, words).
type kind int

const (
	plain  kind = iota
	secret      // a text that is never shown
	truth
	count
	list  // in the environment, split at commas and spaces
	words // a program and its arguments; in the environment, split at spaces
)

// setting is one key of the configuration.
type setting struct {
	key     string
	kind    kind
	flag    string                  // of the daemon command or a global one; "" if there is none
	inverse bool                    // the flag says the contrary of the key
	env     string                  // if it does not follow from flag or key
	allowed []string                // if only these texts are
	check   func(text string) error // finds what is wrong with a text; nil: nothing
	live    bool                    // a running daemon takes it over on SIGHUP
	usage   string
}

// schema lists every key, in the order that config show prints them.
var schema = []setting{
	{key: "node-name", kind: plain, usage: "what this node calls itself to those that it pairs with; empty: the machine's name"},
	{key: "listen", kind: list, flag: "listen", usage: "multiaddrs to listen on"},
	{key: "peers", kind: list, flag: "peer", live: true, usage: "peers to stay connected with, as multiaddrs with /p2p/"},
	{key: "mdns", kind: truth, flag: "no-mdns", inverse: true, usage: "look for peers on the local network"},
	{key: "relays", kind: list, flag: "relay", usage: "own nodes through which this one can be reached, as multiaddrs with /p2p/"},
	{key: "relay-service", kind: truth, flag: "relay-service", usage: "pass on connections between trusted peers"},
	{key: "relay-data", kind: truth, flag: "relay-data", usage: "let videos cross relays where nothing else leads through"},
	{key: "port-map", kind: truth, flag: "no-port-map", inverse: true, usage: "ask the router to forward a port"},
	{key: "open", kind: truth, flag: "open", usage: "serve every stranger"},
	{key: "api", kind: plain, flag: "api", usage: "TCP address that also serves the local API, with a token"},
	{key: "videos", kind: plain, usage: "folder for fetched videos"},
	{key: "scrub", kind: plain, allowed: []string{"off", "weekly", "daily"}, usage: "how often every video is read again, and mended: off, weekly or daily"},
	{key: "limit.up", kind: plain, check: checkRate, live: true, usage: "bytes of pieces sent a second, such as 10M; empty: no limit"},
	{key: "limit.down", kind: plain, check: checkRate, live: true, usage: "bytes of pieces received a second"},
	{key: "limit.schedule", kind: plain, check: checkSchedule, live: true, usage: "rates by the time of day, such as 08:00,2M 19:00,off"},
	{key: "hooks.url", kind: plain, check: daemon.CheckHookURL, live: true, usage: "webhook: where events are posted; empty: none"},
	{key: "hooks.secret-file", kind: plain, live: true, usage: "file with the secret that signs those posts"},
	{key: "hooks.command", kind: words, live: true, usage: "program, and its arguments, that is run for each event"},
	{key: "hooks.command-timeout", kind: plain, check: daemon.CheckHookTimeout, live: true, usage: "after which a run is ended, from 1s to 24h"},
	{key: "hooks.events", kind: list, live: true, usage: "which ones, of added, arrived, transcript, safe and failed"},
	{key: "hooks.safe", kind: count, live: true, usage: "how many trusted peers must hold a video that is safe"},
	// VIDSYNC_NAME is the variable of 'add --name' and 'peer add --name'.
	{key: "log-level", kind: plain, flag: "log-level", allowed: []string{"debug", "info", "warn", "error"}, usage: "least level to log"},
	{key: "log-format", kind: plain, flag: "log-format", allowed: []string{"text", "json"}, usage: "how to log"},
	{key: "transcribe.auto", kind: truth, usage: "transcribe fetched videos"},
	{key: "transcribe.engine", kind: plain, allowed: []string{"auto", "pocketsphinx", "whisper", "openai", "command"}, usage: "auto, pocketsphinx, whisper, openai or command"},
	{key: "transcribe.language", kind: plain, usage: "ISO 639-1 code; empty: as heard"},
	{key: "transcribe.jobs", kind: count, usage: "engine processes at once; 0: one a CPU"},
	{key: "transcribe.ffmpeg", kind: plain, usage: "program"},
	{key: "transcribe.ffprobe", kind: plain, usage: "program"},
	{key: "transcribe.pocketsphinx", kind: plain, usage: "program"},
	{key: "transcribe.pocketsphinx-model", kind: plain, usage: "model folder"},
	{key: "transcribe.whisper-cli", kind: plain, usage: "program"},
	{key: "transcribe.whisper-model", kind: plain, usage: "ggml model file"},
	{key: "transcribe.openai-url", kind: plain, usage: "server with OpenAI's transcription API"},
	{key: "transcribe.openai-model", kind: plain, usage: "model to ask it for"},
	{key: "transcribe.openai-key", kind: secret, usage: "its key"},
	{key: "transcribe.command", kind: words, usage: "any other program and its arguments"},
}

func settingOf(key string) (setting, bool) {
	i := slices.IndexFunc(schema, func(s setting) bool { return s.key == key })
	if i < 0 {
		return setting{}, false
	}
	return schema[i], true
}

func keyNames() []string {
	var names []string
	for _, s := range schema {
		names = append(names, s.key)
	}
	return names
}

// envName is the environment variable of the setting.
func (s setting) envName() string {
	switch {
	case s.env != "":
		return s.env
	case s.flag != "":
		return envName(s.flag)
	}
	return envName(s.key)
}

// zero is the value of a setting that nobody set.
func (s setting) zero() any {
	switch s.kind {
	case truth:
		return false
	case count:
		return 0
	case list, words:
		return []string{}
	}
	return ""
}

// fromText reads a value as it stands in a flag or the environment.
func (s setting) fromText(value string) (any, error) {
	switch s.kind {
	case truth:
		v, err := strconv.ParseBool(value)
		if err != nil {
			return nil, fmt.Errorf("%q is neither true nor false", value)
		}
		return v != s.inverse, nil
	case count:
		v, err := strconv.Atoi(value)
		if err != nil || v < 0 {
			return nil, fmt.Errorf("%q is not a number of 0 or more", value)
		}
		return v, nil
	case list:
		return splitList(value), nil
	case words:
		return strings.Fields(value), nil
	}
	return s.checkText(value)
}

// fromTOML takes a value as the TOML decoder gives it.
func (s setting) fromTOML(value any) (any, error) {
	switch v := value.(type) {
	case bool:
		if s.kind == truth {
			return v, nil
		}
	case int64:
		if s.kind == count && v >= 0 && v <= math.MaxInt32 {
			return int(v), nil
		}
	case string:
		if s.kind == list || s.kind == words {
			return s.fromText(v)
		}
		if s.kind == plain || s.kind == secret {
			return s.checkText(v)
		}
	case []any:
		if s.kind == list || s.kind == words {
			return texts(v)
		}
	}
	return nil, fmt.Errorf("must be %s", s.kind)
}

func (s setting) checkText(value string) (any, error) {
	if s.allowed != nil && !slices.Contains(s.allowed, value) {
		return nil, fmt.Errorf("%q is not one of %s", value, strings.Join(s.allowed, ", "))
	}
	if s.check != nil && value != "" {
		if err := s.check(value); err != nil {
			return nil, err
		}
	}
	return value, nil
}

func texts(values []any) (any, error) {
	out := make([]string, 0, len(values))
	for _, v := range values {
		t, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("must be a list of texts, but has %v", v)
		}
		out = append(out, t)
	}
	return out, nil
}

// String says what a value of this kind must be.
func (k kind) String() string {
	switch k {
	case truth:
		return "true or false"
	case count:
		return "a number of 0 or more"
	case list, words:
		return "a list of texts"
	}
	return "a text"
}
