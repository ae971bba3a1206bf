package transcribe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// attempts sends one span until the server takes it, refuses it for good, or has
// failed serverTries times.
func (c *serverCall) attempts(ctx context.Context, s span) (finished, error) {
	wait := firstWait
	for try := 1; ; {
		f, err := c.send(ctx, s)
		if err == nil || errors.Is(err, errNoTimes) {
			return f, err
		}
		status, answered := errors.AsType[*statusError](err)
		if answered && c.learn(status) {
			continue
		}
		if answered && !status.temporary() {
			return finished{}, c.refusal(status)
		}
		if final(err) || ctx.Err() != nil || try == serverTries {
			return finished{}, err
		}
		pause := wait
		if answered && status.retryAfter >= 0 {
			pause = min(status.retryAfter, longestWait)
		}
		c.log.Warn("transcription server failed, trying again", "error", err, "try", try, "wait", pause)
		if err := sleep(ctx, pause); err != nil {
			return finished{}, err
		}
		try, wait = try+1, min(2*wait, longestWait)
	}
}

// final reports whether an error is none of the network's, so that a retry is useless.
func final(err error) bool {
	_, decided := errors.AsType[*stop](err)
	_, ours := errors.AsType[*audioError](err)
	return decided || ours || errors.Is(err, context.DeadlineExceeded)
}

// learn notes what a refusal says about the server's dialect and reports whether
// the request is worth sending in another one.
func (c *serverCall) learn(status *statusError) bool {
	switch {
	case status.code == http.StatusNotFound && !strings.Contains(strings.ToLower(status.body), "model"):
		return c.native.CompareAndSwap(false, true)
	case status.code == http.StatusBadRequest && strings.Contains(status.body, "response_format"),
		status.code == http.StatusUnprocessableEntity && strings.Contains(status.body, "response_format"):
		return c.plain.CompareAndSwap(false, true)
	}
	return false
}

// refusal is the outcome of an answer that no retry will change.
func (c *serverCall) refusal(status *statusError) error {
	switch status.code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return stopf(EngineMissing, "the transcription server at %s refuses the key (%d): set the right one", c.url, status.code)
	case http.StatusNotFound:
		return stopf(EngineMissing, "the transcription server at %s has no such path or model %q: %s", c.url, c.model, status.body)
	case http.StatusRequestEntityTooLarge:
		return errTooLarge
	}
	return status
}

// statusError is an answer other than 200.
type statusError struct {
	code       int
	body       string        // its beginning
	retryAfter time.Duration // as asked for by the server; -1 when it did not
}

func (e *statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s: %s", e.code, http.StatusText(e.code), e.body))
}

func (e *statusError) temporary() bool {
	return e.code == http.StatusTooManyRequests || e.code == http.StatusRequestTimeout || e.code >= 500
}

// audioError is trouble with our own audio file, not with the server.
type audioError struct{ err error }

func (e *audioError) Error() string { return e.err.Error() }
func (e *audioError) Unwrap() error { return e.err }

// send makes one request for a span and reads the answer.
func (c *serverCall) send(ctx context.Context, s span) (finished, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeFor(s), errTimeLimit)
	defer cancel()
	plain := c.plain.Load()
	form, err := c.form(s, plain)
	if err != nil {
		return finished{}, err
	}
	defer form.Close()
	request, err := c.request(ctx, http.MethodPost, c.endpoint(), form)
	if err != nil {
		return finished{}, err
	}
	request.Header.Set("Content-Type", form.kind)
	request.ContentLength = form.size
	response, err := c.client.Do(request)
	if err != nil {
		return finished{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return finished{}, statusOf(response)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, replyLimit+1))
	if err != nil {
		return finished{}, fmt.Errorf("read answer: %w", err)
	}
	if len(body) > replyLimit {
		return finished{}, stopf(Failed, "the answer of the transcription server at %s is longer than %d bytes", c.url, replyLimit)
	}
	f, err := parseServerReply(body, s)
	if err != nil && !errors.Is(err, errNoTimes) {
		return finished{}, stopf(Failed, "transcription server at %s: %v", c.url, err)
	}
	return f, err
}

func statusOf(response *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(response.Body, errorBodyLimit))
	e := &statusError{code: response.StatusCode, body: cleanText(string(body)), retryAfter: -1}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		e.retryAfter = time.Duration(min(seconds, int(longestWait.Seconds()))) * time.Second
	}
	return e
}

func (c *serverCall) endpoint() string {
	if c.native.Load() {
		return strings.TrimSuffix(c.base(), "/v1") + "/inference"
	}
	return c.base() + "/audio/transcriptions"
}

// upload is a multipart form that streams a span's audio.
type upload struct {
	io.Reader
	io.Closer
	kind string // content type
	size int64
}

// form builds the request's body. The brackets are part of the field's name.
func (c *serverCall) form(s span, plain bool) (*upload, error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	fields := [][2]string{{"model", c.model}, {"temperature", "0"}}
	if c.task.language != "" {
		fields = append(fields, [2]string{"language", c.task.language})
	}
	if plain {
		fields = append(fields, [2]string{"response_format", "json"})
	} else {
		fields = append(fields, [2]string{"response_format", "verbose_json"},
			[2]string{"timestamp_granularities[]", "segment"}, [2]string{"timestamp_granularities[]", "word"})
	}
	for _, field := range fields {
		if err := w.WriteField(field[0], field[1]); err != nil {
			return nil, err
		}
	}
	if _, err := w.CreateFormFile("file", "audio.wav"); err != nil {
		return nil, err
	}
	head := bytes.Clone(b.Bytes())
	b.Reset()
	if err := w.Close(); err != nil {
		return nil, err
	}
	wav, size, err := c.task.audio.wav(s.stretch)
	if err != nil {
		return nil, &audioError{err}
	}
	return &upload{
		Reader: io.MultiReader(bytes.NewReader(head), wav, &b),
		Closer: wav,
		kind:   w.FormDataContentType(),
		size:   int64(len(head)+b.Len()) + size,
	}, nil
}

// sleep waits, or returns the cause of ctx's end.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
