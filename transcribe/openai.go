package transcribe

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

const (
	serverProbeLimit = 5 * time.Second
	serverTries      = 5
	firstWait        = time.Second      // before the second try; doubles with each
	longestWait      = 60 * time.Second // also when the server asks for more
	requestsAtOnce   = 4
	errorBodyLimit   = 4 << 10
)

// openAI sends audio to a server with OpenAI's transcription API. Servers differ: some
// put words into segments, some beside them, some know no times at all; some name
// the language in English; whisper.cpp's server has its own path. What a server
// turns out not to know is not asked of it again in that run.
type openAI struct {
	url, model, key string
	log             *slog.Logger
}

func (e openAI) name() string { return "openai" }

// probe asks for the list of models. A server without one still counts.
func (e openAI) probe(ctx context.Context) (caps, error) {
	if e.url == "" {
		return caps{}, stopf(EngineMissing, "no transcription server is configured")
	}
	probeCtx, cancel := context.WithTimeout(ctx, serverProbeLimit)
	defer cancel()
	client := newServerClient()
	defer client.CloseIdleConnections()
	request, err := e.request(probeCtx, http.MethodGet, e.base()+"/models", nil)
	if err != nil {
		return caps{}, stopf(EngineMissing, "transcription server: %v", err)
	}
	response, err := client.Do(request)
	if ctx.Err() != nil {
		return caps{}, ctx.Err()
	}
	if err != nil {
		return caps{}, stopf(EngineMissing, "the transcription server does not answer: %v", err)
	}
	response.Body.Close()
	switch code := response.StatusCode; {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return caps{}, stopf(EngineMissing, "the transcription server at %s refuses the key (%d): set the right one", e.url, code)
	case code >= 500:
		return caps{}, stopf(EngineMissing, "the transcription server at %s is out of order (%s)", e.url, response.Status)
	}
	return caps{model: e.model, longest: chunkLength}, nil
}

func (e openAI) base() string { return strings.TrimRight(e.url, "/") }

func (e openAI) request(ctx context.Context, method, url string, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err == nil && e.key != "" {
		request.Header.Set("Authorization", "Bearer "+e.key)
	}
	return request, err
}

// newServerClient follows no redirects: audio and key go to the configured server only.
func newServerClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (e openAI) transcribe(ctx context.Context, t task, done sink) error {
	c := &serverCall{openAI: e, client: newServerClient(), task: t}
	defer c.client.CloseIdleConnections()
	return eachSpan(ctx, t, min(t.jobs, requestsAtOnce), done, c.span)
}

// serverCall is one run against one server, and what is learned about it.
type serverCall struct {
	openAI
	client *http.Client
	task   task

	plain  atomic.Bool // knows no verbose_json
	small  atomic.Bool // takes or times only one stretch of speech at once
	native atomic.Bool // has whisper.cpp's path instead of OpenAI's
}

var (
	errTooLarge = errors.New("the server refuses files of this size (413)")
	errNoTimes  = errors.New("the server gives no times")
)

// span transcribes a span whole, or in parts when the server cannot time or take it
// whole: then the times of the speech found in the audio have to do.
func (c *serverCall) span(ctx context.Context, s span) (finished, error) {
	if !c.small.Load() {
		f, err := c.attempts(ctx, s)
		small := len(s.Parts) > 1 && (errors.Is(err, errTooLarge) || errors.Is(err, errNoTimes))
		if !small {
			return f, c.outcome(ctx, err)
		}
		c.small.Store(true)
	}
	whole := finished{span: s}
	for _, part := range s.Parts {
		f, err := c.attempts(ctx, s.alone(part))
		if err != nil && !errors.Is(err, errNoTimes) {
			return finished{}, c.outcome(ctx, err)
		}
		whole.language = cmp.Or(whole.language, f.language)
		for _, segment := range f.segments {
			whole.segments = append(whole.segments, segment.later(part.Start-s.Start, part.length()))
		}
	}
	return whole, nil
}

// later moves a segment of a part to the part's place in the span.
func (s Segment) later(by, length Offset) Segment {
	s.Start, s.End = by+min(s.Start, length), by+min(s.End, length)
	for i, w := range s.Words {
		s.Words[i].Start, s.Words[i].End = by+min(w.Start, length), by+min(w.End, length)
	}
	return s
}

// outcome keeps results without times: a span of one stretch has that stretch's.
func (c *serverCall) outcome(ctx context.Context, err error) error {
	_, decided := errors.AsType[*stop](err)
	_, ours := errors.AsType[*audioError](err)
	switch {
	case err == nil, errors.Is(err, errNoTimes):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case decided, ours:
		return err
	}
	return stopf(Failed, "transcription server at %s: %v", c.url, err)
}
