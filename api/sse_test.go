package api_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/api"
)

func TestEventReader(t *testing.T) {
	const limit = 40
	type event struct{ name, data string }
	tests := map[string]struct {
		text string
		want []event
		end  error
	}{
		"none":           {"", nil, io.EOF},
		"one":            {"event: a\ndata: {}\n\n", []event{{"a", "{}"}}, io.EOF},
		"CRLF":           {"event: a\r\ndata: {}\r\n\r\n", []event{{"a", "{}"}}, io.EOF},
		"no space":       {"event:a\ndata:{}\n\n", []event{{"a", "{}"}}, io.EOF},
		"data lines":     {"data: 1\ndata: 2\n\n", []event{{"", "1\n2"}}, io.EOF},
		"no data":        {"event: a\n\ndata: x\n\n", []event{{"", "x"}}, io.EOF},
		"empty data":     {"event: a\ndata\n\n", []event{{"a", ""}}, io.EOF},
		"comments":       {": x\n\n:\n\nevent: a\n: y\ndata: z\nid: 4\nretry: 5\n\n", []event{{"a", "z"}}, io.EOF},
		"half":           {"event: a\ndata: {}\n", nil, io.EOF},
		"half line":      {"event: a\ndata: {}\n\ndata: ", []event{{"a", "{}"}}, io.EOF},
		"at limit":       {"data: " + strings.Repeat("x", limit-6) + "\n\n", []event{{"", strings.Repeat("x", limit-6)}}, io.EOF},
		"over limit":     {"data: " + strings.Repeat("x", limit-3) + "\n\n", nil, api.ErrTooLong},
		"over, no end":   {"data: " + strings.Repeat("x", limit*9), nil, api.ErrTooLong},
		"over in lines":  {strings.Repeat("data: xxxx\n", 9), nil, api.ErrTooLong},
		"comments, long": {strings.Repeat(":xxx\n", 20), nil, api.ErrTooLong},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			next := api.EventReader(strings.NewReader(test.text), limit)
			for _, want := range test.want {
				name, data, err := next()
				if err != nil || (event{name, string(data)}) != want {
					t.Fatalf("got %q %q %v, want %q", name, data, err, want)
				}
			}
			if name, data, err := next(); !errors.Is(err, test.end) {
				t.Errorf("at the end got %q %q %v, want %v", name, data, err, test.end)
			}
		})
	}
}

func FuzzEventReader(f *testing.F) {
	seeds := []string{
		"event: progress\ndata: {\"done\":1}\n\n", ": still here\n\nevent: result\ndata: {}\n\n",
		"data: 1\r\ndata: 2\r\n\r\n", "event: error\ndata", "\n\n\n", ":", "data:\x00\xff\n\n",
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	const limit = 64
	f.Fuzz(func(t *testing.T, text []byte) {
		next := api.EventReader(bytes.NewReader(text), limit)
		for range len(text) + 1 { // an event takes two bytes at least
			name, data, err := next()
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, api.ErrTooLong) {
					t.Fatalf("unexpected error %v", err)
				}
				break
			}
			if len(name)+len(data) > 2*limit {
				t.Fatalf("event of %d bytes, limit %d", len(name)+len(data), limit)
			}
		}
		// One line, as JSON is, comes back as it was sent.
		if len(text) > limit-20 || bytes.ContainsAny(text, "\r\n") {
			return
		}
		name, data, err := api.EventReader(bytes.NewReader(api.AppendEvent(nil, "news", text)), limit)()
		if err != nil || name != "news" || !bytes.Equal(data, text) {
			t.Fatalf("sent %q, got %q %q %v", text, name, data, err)
		}
	})
}
