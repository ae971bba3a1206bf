package cli

import (
	"fmt"
	"log"
	"log/slog"
)

// logger writes to standard error. The daemon logs at the configured level; a
// short command only what is wrong, unless somebody asked for more.
func (a *app) logger(all settings, daemon bool) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(all.text("log-level"))); err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	if !daemon && all.isDefault("log-level") {
		level = slog.LevelError
	}
	level -= slog.Level(a.global.verbose * int(slog.LevelInfo-slog.LevelDebug))
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(a.stderr, options)
	if all.text("log-format") == "json" {
		handler = slog.NewJSONHandler(a.stderr, options)
	}
	if daemon {
		quietLibraries(handler)
	}
	return slog.New(handler), nil
}

// quietLibraries has lines of libraries that write to the standard logger, as
// mDNS does when there is no network, count as details.
func quietLibraries(handler slog.Handler) {
	log.SetFlags(0)
	log.SetOutput(slog.NewLogLogger(handler, slog.LevelDebug).Writer())
}
