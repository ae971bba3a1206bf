package transcribe

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	// chunkLength is the longest span given to engines that like long ones. It bounds
	// what a crash can lose, and as WAV (9.6 MB) what a server has to take.
	chunkLength = Offset(5 * time.Minute / time.Millisecond)
	// replyLimit is the longest answer accepted for one span.
	replyLimit = 16 << 20
	// slowBase and slowFactor times the audio limit the time for one span.
	slowBase   = 5 * time.Minute
	slowFactor = 20
)

// commandEngine runs the user's own program once for each span.
type commandEngine struct{ argv []string }

// commandReply is what the program prints; Config.Command describes it.
type commandReply struct {
	Language string    `json:"language"`
	Segments []Segment `json:"segments"`
}

func (e commandEngine) name() string { return "command" }

func (e commandEngine) probe(context.Context) (caps, error) {
	if len(e.argv) == 0 {
		return caps{}, stopf(EngineMissing, "no transcription command is configured")
	}
	if _, err := exec.LookPath(e.argv[0]); err != nil {
		return caps{}, stopf(EngineMissing, "%s not found: correct the transcription command", e.argv[0])
	}
	return caps{model: strings.Join(e.argv, " "), longest: chunkLength}, nil
}

func (e commandEngine) transcribe(ctx context.Context, t task, done sink) error {
	return eachSpan(ctx, t, t.jobs, done, func(ctx context.Context, s span) (finished, error) {
		wav, err := t.audio.saveWAV(t.dir, s)
		if err != nil {
			return finished{}, err
		}
		defer os.Remove(wav)
		answer := &boundedBuffer{limit: replyLimit}
		args := append(e.argv[1:len(e.argv):len(e.argv)], wav)
		err = program{name: e.argv[0], args: args, limit: timeFor(s), stdout: answer}.run(ctx)
		if err != nil {
			return finished{}, engineTrouble(ctx, e.name(), err)
		}
		reply, err := parseCommandReply(answer.Bytes())
		if err != nil {
			return finished{}, stopf(Failed, "%s: %v", e.argv[0], err)
		}
		return finished{span: s, language: languageCode(reply.Language), segments: reply.Segments}, nil
	})
}

func parseCommandReply(answer []byte) (commandReply, error) {
	var reply commandReply
	if err := json.Unmarshal(answer, &reply); err != nil {
		return reply, fmt.Errorf("read its answer: %w", err)
	}
	return reply, nil
}

// timeFor is how long a slow engine may take for a span.
func timeFor(s span) time.Duration { return slowBase + slowFactor*s.length().Duration() }
