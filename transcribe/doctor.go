package transcribe

import (
	"context"
	"strings"
	"time"
)

// EngineStatus says whether an engine or a program that all engines need works here.
type EngineStatus struct {
	Name    string // "ffmpeg", "ffprobe" or an engine
	Usable  bool
	Version string // when known
	Model   string
	Remedy  string // what is wrong and what to do about it; empty when usable
}

const versionLimit = 10 * time.Second

// Probe looks at everything transcription can use here. It blocks at most half a
// minute, usually far less.
func (t *Transcriber) Probe(ctx context.Context) []EngineStatus {
	found := []EngineStatus{
		toolStatus(ctx, "ffmpeg", t.cfg.FFmpeg),
		toolStatus(ctx, "ffprobe", t.cfg.FFprobe),
	}
	for _, e := range t.engines {
		c, err := e.probe(ctx)
		status := EngineStatus{Name: e.name(), Usable: err == nil, Model: c.model}
		if err != nil {
			status.Remedy = err.Error()
		}
		found = append(found, status)
	}
	return found
}

// toolStatus runs "ffmpeg -version": its first line is "ffmpeg version 5.1 ...".
func toolStatus(ctx context.Context, name, path string) EngineStatus {
	answer := &boundedBuffer{limit: lineLimit}
	err := program{name: path, args: []string{"-version"}, limit: versionLimit, stdout: answer}.run(ctx)
	switch {
	case notInstalled(err):
		return EngineStatus{Name: name, Remedy: path + " not found: apt-get install -y ffmpeg"}
	case err != nil:
		return EngineStatus{Name: name, Remedy: err.Error()}
	}
	words := strings.Fields(firstLine(answer.String()))
	if len(words) < 3 || words[1] != "version" {
		return EngineStatus{Name: name, Remedy: path + " is not ffmpeg's: apt-get install -y ffmpeg"}
	}
	return EngineStatus{Name: name, Usable: true, Version: words[2]}
}
