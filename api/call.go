package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"syscall"
)

const (
	// maxProblem is the longest problem a client reads, in bytes.
	maxProblem = 1 << 20
	// copyBuffer is the size of the steps in which bytes are copied out.
	copyBuffer = 256 << 10
)

// call makes a request whose answer is one JSON value.
func call[R any](ctx context.Context, c *Client, method, path string, in any) (R, error) {
	var out R
	resp, err := c.do(ctx, method, path, in)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = errTooLong
	}
	if err != nil {
		return out, c.cutOff(ctx, err)
	}
	if err := json.Unmarshal(data, &out); err != nil {
		return out, c.unreadable(err)
	}
	return out, nil
}

// follow makes a request whose answer is a stream of events: E under name,
// then R. emit may be nil.
func follow[E, R any](ctx context.Context, c *Client, method, path string, in any, name string, emit func(E)) (R, error) {
	var out R
	resp, err := c.do(ctx, method, path, in)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	events := &eventReader{r: bufio.NewReaderSize(resp.Body, readBuffer), limit: maxAnswer}
	for {
		event, data, err := events.next()
		if err != nil {
			return out, c.cutOff(ctx, err)
		}
		switch event {
		case eventResult:
			if err := json.Unmarshal(data, &out); err != nil {
				return out, c.unreadable(err)
			}
			return out, nil
		case eventError:
			return out, c.eventFailure(data)
		case name:
			if err := emitJSON(data, emit); err != nil {
				return out, c.unreadable(err)
			}
		}
	}
}

// emitJSON calls emit, unless it is nil, with what data says.
func emitJSON[E any](data []byte, emit func(E)) error {
	var e E
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	if emit != nil {
		emit(e)
	}
	return nil
}

// eventFailure is the error in an error event.
func (c *Client) eventFailure(data []byte) error {
	e := new(Error)
	if err := json.Unmarshal(data, e); err != nil {
		return c.unreadable(err)
	}
	if e.Code == 0 {
		e.Code = CodeOther
	}
	return e
}

// copyBytes makes a request whose answer is bytes and writes them to w.
func (c *Client) copyBytes(ctx context.Context, path string, w io.Writer) error {
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	buf := make([]byte, copyBuffer)
	for {
		n, readErr := resp.Body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return writeError(err)
			}
		}
		if errors.Is(readErr, io.EOF) {
			return parseTrailer(resp.Trailer.Get(trailerError))
		}
		if readErr != nil {
			return c.cutOff(ctx, readErr)
		}
	}
}

// do sends a request with in as its JSON body, unless in is nil. A response
// other than 200 is returned as an error. The caller closes the response's
// body.
func (c *Client) do(ctx context.Context, method, path string, in any) (*http.Response, error) {
	req, err := newRequest(ctx, method, path, in)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.cutOff(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, c.problemOf(resp)
}

func newRequest(ctx context.Context, method, path string, in any) (*http.Request, error) {
	var data []byte
	if in != nil {
		var err error
		if data, err = json.Marshal(in); err != nil {
			return nil, Errorf(CodeOther, "encode request: %w", err)
		}
	}
	if len(data) > maxRequest {
		return nil, Errorf(CodeUsage, "the request is over its limit of %d bytes; split it up", maxRequest)
	}
	// The host is not looked up: the socket is the address.
	req, err := http.NewRequestWithContext(ctx, method, "http://vidsync"+path, bytes.NewReader(data))
	if err != nil {
		return nil, Errorf(CodeOther, "make request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Te", "trailers")
	return req, nil
}

// problemOf is the error that a response tells of.
func (c *Client) problemOf(resp *http.Response) error {
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem)) // what came is what can be told
	p := new(problem)
	if err := json.Unmarshal(data, p); err != nil || p.Code == 0 {
		return Errorf(CodeOther, "the daemon at %s answered %s, which this version does not understand", c.path, strconv.Quote(resp.Status))
	}
	return &Error{Code: p.Code, Message: p.Detail}
}

// cutOff is the error for a request that got no answer or half of one.
func (c *Client) cutOff(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[*Error](err); ok { // from dial
		return e
	}
	if errors.Is(err, errTooLong) {
		return Errorf(CodeOther, "the daemon at %s sent an answer over %d bytes", c.path, maxAnswer)
	}
	return Errorf(CodeUnavailable, "the daemon at %s went away before it had answered (%w); run the command again once it is back", c.path, err)
}

// unreadable is the error for an answer that does not decode.
func (c *Client) unreadable(err error) *Error {
	return Errorf(CodeOther, "the daemon at %s sent an answer that this version does not understand: %w", c.path, err)
}

// writeError is the caller's own trouble with what it was sent.
func writeError(err error) error {
	code := CodeOther
	if errors.Is(err, syscall.ENOSPC) {
		code = CodeNoSpace
	}
	return Errorf(code, "write the answer: %w", err)
}
