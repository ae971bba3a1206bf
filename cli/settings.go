package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vidsync/vidsync/daemon"
)

// value is the effective value of a setting and where it comes from: "flag
// --listen", "env VIDSYNC_LISTEN", "file PATH" or "default".
type value struct {
	data   any
	origin string
}

const originDefault = "default"

// settings are the effective values of all keys of the schema.
type settings map[string]value

func (s settings) text(key string) string    { return s[key].data.(string) }
func (s settings) truth(key string) bool     { return s[key].data.(bool) }
func (s settings) count(key string) int      { return s[key].data.(int) }
func (s settings) list(key string) []string  { return s[key].data.([]string) }
func (s settings) isDefault(key string) bool { return s[key].origin == originDefault }

// source gives values by key: one file, or the built-in ones.
type source struct {
	origin string
	values map[string]any
}

// settings finds the effective configuration. The first of these that has a
// key decides: flags, environment, the user's file, the system's file, default.
func (a *app) settings(p paths) (settings, error) {
	sources, err := a.configSources(p)
	if err != nil {
		return nil, err
	}
	all := settings{}
	for _, s := range schema {
		v, err := a.effective(s, sources)
		if err != nil {
			return nil, err
		}
		all[s.key] = v
	}
	return all, checkVideos(all)
}

func (a *app) effective(s setting, sources []source) (value, error) {
	if v, ok, err := a.flagValue(s); ok || err != nil {
		return v, err
	}
	if set := a.env[s.envName()]; set != "" {
		data, err := s.fromText(set)
		if err != nil {
			return value{}, usagef("%s: %v", s.envName(), err)
		}
		return value{data, "env " + s.envName()}, nil
	}
	for _, src := range sources {
		if data, ok := src.values[s.key]; ok {
			return value{data, src.origin}, nil
		}
	}
	return value{s.zero(), originDefault}, nil
}

// flagValue is the setting's value if a flag on the command line gives it. Only
// global flags and those of the daemon speak of the configuration: --peer of
// fetch, say, is about one video.
func (a *app) flagValue(s setting) (v value, ok bool, err error) {
	if s.flag == "" || a.command == nil || a.fromEnv[s.flag] {
		return v, false, nil
	}
	flags := a.command.InheritedFlags()
	if a.command.Name() == daemonName {
		flags = a.command.Flags()
	}
	f := flags.Lookup(s.flag)
	if f == nil || !f.Changed {
		return v, false, nil
	}
	v.origin = "flag --" + s.flag
	if s.kind == list {
		v.data, err = flags.GetStringArray(s.flag)
		return v, true, err
	}
	if v.data, err = s.fromText(f.Value.String()); err != nil {
		err = usagef("--%s: %v", s.flag, err)
	}
	return v, true, err
}

// configSources reads the user's and the system's file. The system's file may
// be closed to other users than the service's: for them it is not there.
func (a *app) configSources(p paths) ([]source, error) {
	user, err := readConfig(p.Config, a.global.config != "")
	if err != nil {
		return nil, err
	}
	sources := []source{{"file " + p.Config, user}}
	if path := filepath.Join(a.system.config, configName); path != p.Config && readable(path) {
		system, err := readConfig(path, false)
		if err != nil {
			return nil, err
		}
		sources = append(sources, source{"file " + path, system})
	}
	return append(sources, source{originDefault, a.defaults(p)}), nil
}

func readable(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return !errors.Is(err, fs.ErrPermission)
	}
	f.Close()
	return true
}

func (a *app) defaults(p paths) map[string]any {
	return map[string]any{
		"listen":                a.nodes.defaultListen(),
		"mdns":                  true,
		"port-map":              true,
		"videos":                p.Videos,
		"scrub":                 "weekly",
		"hooks.events":          daemon.DefaultHookEvents(),
		"hooks.safe":            1,
		"hooks.command-timeout": "10m",
		"log-level":             "info",
		"log-format":            "text",
		"transcribe.auto":       true,
		"transcribe.engine":     "auto",
	}
}

// checkVideos makes the videos folder absolute.
func checkVideos(all settings) error {
	v := all["videos"]
	dir := v.data.(string)
	if rest, ok := strings.CutPrefix(dir, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return fmt.Errorf("videos folder %s: %w", dir, err)
		}
		dir = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(dir) {
		return &usageError{message: fmt.Sprintf("videos (%s): %q is not an absolute path", v.origin, dir), noHint: true}
	}
	v.data = filepath.Clean(dir)
	all["videos"] = v
	return nil
}
