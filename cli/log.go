package cli

import (
	"fmt"
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
	if all.text("log-format") == "json" {
		return slog.New(slog.NewJSONHandler(a.stderr, options)), nil
	}
	return slog.New(slog.NewTextHandler(a.stderr, options)), nil
}
