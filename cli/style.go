package cli

import (
	"cmp"
	"io"
	"strings"
)

// style says which signs a stream can show.
type style struct{ color, unicode bool }

const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// style of a stream. NO_COLOR and --no-color win over CLICOLOR_FORCE.
func (a *app) style(w io.Writer) style {
	return style{color: a.color(w), unicode: a.unicode()}
}

func (a *app) color(w io.Writer) bool {
	if a.global.noColor || a.env["NO_COLOR"] != "" {
		return false
	}
	if force := a.env["CLICOLOR_FORCE"]; force != "" && force != "0" {
		return true
	}
	return a.moving(w)
}

// moving reports whether a stream is a terminal that understands escape codes.
func (a *app) moving(w io.Writer) bool {
	return a.env["TERM"] != "dumb" && a.screen(w).terminal
}

// unicode reports whether the locale is UTF-8. The first of these variables
// that is set decides.
func (a *app) unicode() bool {
	locale := strings.ToLower(cmp.Or(a.env["LC_ALL"], a.env["LC_CTYPE"], a.env["LANG"]))
	return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
}

// paint colours text, if the stream has colour.
func (s style) paint(color, text string) string {
	if !s.color || color == "" || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// ellipsis stands for what was cut off.
func (s style) ellipsis() string {
	if s.unicode {
		return "…"
	}
	return ".."
}

// stateColor is the colour of a state's word. No meaning is in the colour alone.
func stateColor(state string) string {
	switch state {
	case "ok", "whole", "done":
		return green
	case "bad", "err", "problem", "failed", "missing", "changed", "damaged":
		return red
	case "warning", "waiting", "partial":
		return yellow
	}
	return ""
}
