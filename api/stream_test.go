package api_test

import (
	"bufio"
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
)

func TestProgressInOrder(t *testing.T) {
	const reports = 200
	node := &fakeNode{long: func(_ context.Context, emit func(api.Progress)) error {
		for i := range reports {
			p := filled[api.Progress]()
			p.Done = int64(i)
			emit(p)
		}
		emit(api.Progress{BytesPerSecond: math.NaN()}) // JSON cannot say it: left out
		return nil
	}}
	client := connect(t, node, api.HandlerConfig{})
	methods := map[string]func(emit func(api.Progress)) error{
		"Add": func(emit func(api.Progress)) error {
			_, err := client.Add(t.Context(), api.AddRequest{}, emit)
			return err
		},
		"Fetch": func(emit func(api.Progress)) error {
			_, err := client.Fetch(t.Context(), api.FetchRequest{}, emit)
			return err
		},
		"Verify": func(emit func(api.Progress)) error {
			_, err := client.Verify(t.Context(), api.VerifyRequest{}, emit)
			return err
		},
		"Transcribe": func(emit func(api.Progress)) error {
			_, err := client.Transcribe(t.Context(), api.TranscribeRequest{}, emit)
			return err
		},
	}
	for name, method := range methods {
		t.Run(name, func(t *testing.T) {
			var got []api.Progress
			if err := method(func(p api.Progress) { got = append(got, p) }); err != nil {
				t.Fatal(err)
			}
			if len(got) != reports {
				t.Fatalf("got %d reports, want %d", len(got), reports)
			}
			for i, p := range got {
				want := filled[api.Progress]()
				want.Done = int64(i)
				if !reflect.DeepEqual(p, want) {
					t.Fatalf("report %d is %+v, want %+v", i, p, want)
				}
			}
		})
	}
}

// A client that reads nothing must not hold up the node, and what it finds
// afterwards is the newest progress and the result.
func TestSlowReaderDoesNotHoldUpTheNode(t *testing.T) {
	const reports = 20_000
	emitted := make(chan struct{})
	node := &fakeNode{long: func(_ context.Context, emit func(api.Progress)) error {
		defer close(emitted)
		for i := range reports {
			emit(api.Progress{Phase: strings.Repeat("x", 100), Done: int64(i)})
		}
		return nil
	}}
	client := connect(t, node, api.HandlerConfig{})
	last, count := int64(-1), 0
	_, err := client.Add(t.Context(), api.AddRequest{}, func(p api.Progress) {
		<-emitted // the node ends while its first report is still being looked at
		if p.Done <= last {
			t.Errorf("report %d came after %d", p.Done, last)
		}
		last = p.Done
		count++
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != reports-1 || count == reports {
		t.Errorf("last of %d reports is %d, want some dropped and the last to be %d", count, last, reports-1)
	}
}

func TestCancelReachesNode(t *testing.T) {
	for _, name := range []string{"Add", "Fetch", "Verify", "Transcribe"} {
		t.Run(name, func(t *testing.T) {
			started, canceled := make(chan struct{}), make(chan struct{})
			node := &fakeNode{long: func(ctx context.Context, _ func(api.Progress)) error {
				close(started)
				<-ctx.Done()
				close(canceled)
				return ctx.Err()
			}}
			client := connect(t, node, api.HandlerConfig{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				<-started
				cancel()
			}()
			if _, err := calls[name](ctx, client); err != context.Canceled {
				t.Errorf("got %v, want context.Canceled", err)
			}
			<-canceled
		})
	}
}

func TestHeartbeat(t *testing.T) {
	release := make(chan struct{})
	node := &fakeNode{long: func(ctx context.Context, _ func(api.Progress)) error {
		<-release
		return ctx.Err()
	}}
	path := serve(t, api.Handler(node, api.HandlerConfig{Heartbeat: time.Millisecond}))
	resp, err := plainClient(path).Post("http://x/v1/videos", "application/json", strings.NewReader(`{"paths":["/a"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Errorf("content type %q", ct)
	}
	comments, events := 0, []string(nil)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, ":"):
			if comments++; comments == 5 {
				close(release)
			}
		case strings.HasPrefix(line, "event: "):
			events = append(events, line)
		}
	}
	if comments < 5 || !reflect.DeepEqual(events, []string{"event: result"}) {
		t.Errorf("got %d heartbeats and events %v, want at least 5 and one result", comments, events)
	}
}

func TestStreamWithoutEnd(t *testing.T) {
	tests := map[string]string{
		"nothing":        "",
		"only progress":  "event: progress\ndata: {}\n\n",
		"half a result":  "event: result\ndata: {}\n",
		"unknown events": ": c\n\nevent: news\ndata: {}\n\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			client := api.NewClient(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Write([]byte(text))
			})))
			_, err := client.Add(t.Context(), api.AddRequest{}, nil)
			wantError(t, err, api.CodeUnavailable)
		})
	}
}

func TestUnreadableEvents(t *testing.T) {
	for _, text := range []string{
		"event: progress\ndata: {\n\n", "event: result\ndata: 7\n\n", "event: error\ndata: x\n\n", "event: error\ndata: {}\n\n",
	} {
		client := api.NewClient(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(text))
		})))
		_, err := client.Add(t.Context(), api.AddRequest{}, nil)
		wantError(t, err, api.CodeOther)
	}
}

// deafWriter is the connection to a client that takes nothing more.
type deafWriter struct{ *httptest.ResponseRecorder }

func (deafWriter) Write([]byte) (int, error) { return 0, errors.New("write timed out") }

func TestDeafClientCancels(t *testing.T) {
	node := &fakeNode{long: func(ctx context.Context, _ func(api.Progress)) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	h := api.Handler(node, api.HandlerConfig{})
	r := httptest.NewRequest("POST", "/v1/videos", strings.NewReader(`{"paths":["/a"]}`))
	h.ServeHTTP(deafWriter{httptest.NewRecorder()}, r) // returns, or the test never ends
}
