package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

const configHead = `# The settings of the vidsync node that runs as this system's service, and of
# users who may read this file and do not set them otherwise. Every setting is
# here with its default; take away the # before one to change it. 'vidsync config
# show' prints what is in force, and from where. After a change:
# systemctl restart vidsync
`

// shownSetting is a line of 'vidsync config show --json'.
type shownSetting struct {
	Key    string          `json:"key"`
	Value  json.RawMessage `json:"value"`
	Origin string          `json:"origin"`
}

// configFile is a configuration file with every setting as a comment.
func configFile() (string, error) {
	all, err := defaults()
	if err != nil {
		return "", err
	}
	about, err := settingTexts()
	if err != nil {
		return "", err
	}
	var top, sections strings.Builder
	section := ""
	for _, s := range all {
		out, name := &top, s.Key
		if table, rest, ok := strings.Cut(s.Key, "."); ok {
			out, name = &sections, rest
			if table != section {
				fmt.Fprintf(out, "\n[%s]\n", table)
				section = table
			}
		}
		// JSON's texts, numbers and lists are TOML's too.
		fmt.Fprintf(out, "\n# %s\n#%s = %s\n", about[s.Key], name, s.Value)
	}
	return configHead + top.String() + sections.String(), nil
}

// defaults are the settings of a machine that has no configuration.
func defaults() ([]shownSetting, error) {
	text, err := vidsync("config", "show", "--json")
	if err != nil {
		return nil, err
	}
	var all []shownSetting
	for line := range strings.Lines(text) {
		var s shownSetting
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			return nil, fmt.Errorf("config show: %w", err)
		}
		if s.Origin != "default" {
			return nil, fmt.Errorf("the default of %s cannot be seen here: it is set by %s", s.Key, s.Origin)
		}
		all = append(all, s)
	}
	return all, nil
}

// settingTexts says what each setting is for.
func settingTexts() (map[string]string, error) {
	h, err := helpOf("config")
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for line := range strings.Lines(h.about) {
		if strings.HasPrefix(line, "  ") {
			e := entries([]string{line})[0]
			texts[e.name] = e.text
		}
	}
	return texts, nil
}
