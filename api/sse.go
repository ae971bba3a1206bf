package api

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxAnswer is the longest answer a client takes, whether a JSON body or one
// server-sent event: a catalogue of about 250,000 videos.
const maxAnswer = 128 << 20

// errTooLong is an event or body over its limit.
var errTooLong = errors.New("the answer is too long")

// The events of a stream. A stream ends with exactly one result or error.
const (
	eventProgress = "progress"
	eventResult   = "result"
	eventError    = "error"
)

// appendEvent appends one server-sent event. data must be one line, as JSON
// from encoding/json is.
func appendEvent(b []byte, name string, data []byte) []byte {
	b = append(b, "event: "...)
	b = append(b, name...)
	b = append(b, "\ndata: "...)
	b = append(b, data...)
	return append(b, "\n\n"...)
}

// heartbeat is what a silent stream sends: a comment, which readers skip.
var heartbeat = []byte(": still here\n\n")

// eventReader reads server-sent events.
type eventReader struct {
	r     *bufio.Reader
	limit int // longest event, in bytes
}

// next is the next event that has data. Ids, retry times and comments are
// skipped. It returns io.EOF after the last whole event: what follows an
// event's last blank line is not one. The error is errTooLong for an event
// over the limit.
func (e *eventReader) next() (name string, data []byte, err error) {
	has, left := false, e.limit
	for {
		line, err := e.line(left)
		if err != nil {
			return "", nil, err
		}
		if len(line) == 0 {
			if has {
				return name, data, nil
			}
			name, left = "", e.limit
			continue
		}
		left -= len(line)
		switch field, value := splitField(line); field {
		case "event":
			name = value
		case "data":
			if has {
				data = append(data, '\n')
			}
			data, has = append(data, value...), true
		}
	}
}

// line is the next line without its end, at most limit bytes of it.
func (e *eventReader) line(limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := e.r.ReadSlice('\n')
		if len(line)+len(part) > limit+len("\r\n") {
			return nil, fmt.Errorf("event over %d bytes: %w", e.limit, errTooLong)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		default:
			return nil, err
		}
	}
}

// splitField splits a line into its field and value. A comment's field is "".
func splitField(line []byte) (field, value string) {
	name, rest, _ := bytes.Cut(line, []byte(":"))
	return string(name), string(bytes.TrimPrefix(rest, []byte(" ")))
}
