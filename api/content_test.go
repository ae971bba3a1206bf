package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/api"
)

func TestCatStreams(t *testing.T) {
	piece := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	sent, got := sha256.New(), sha256.New()
	node := &fakeNode{write: func(_ context.Context, w io.Writer) error {
		out := io.MultiWriter(w, sent)
		for range 20 {
			if _, err := out.Write(piece); err != nil {
				return err
			}
		}
		_, err := out.Write([]byte("tail"))
		return err
	}}
	client := connect(t, node, api.HandlerConfig{})
	if err := client.Cat(t.Context(), api.CatRequest{Ref: "r", Length: -1}, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
		t.Error("the bytes that came are not those sent")
	}
}

func TestCatOfNothing(t *testing.T) {
	node := &fakeNode{write: func(context.Context, io.Writer) error { return nil }}
	client := connect(t, node, api.HandlerConfig{})
	var b bytes.Buffer
	if err := client.Cat(t.Context(), api.CatRequest{Ref: "r"}, &b); err != nil || b.Len() != 0 {
		t.Errorf("got %d bytes and %v", b.Len(), err)
	}
}

// failLate writes some bytes, then fails.
func failLate(err error) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error {
		if _, err := io.WriteString(w, "some"); err != nil {
			return err
		}
		return err
	}
}

func TestCatErrorMidStream(t *testing.T) {
	tests := map[string]struct{ sent, want *api.Error }{
		"plain": {api.Errorf(api.CodeCorrupt, "block 3 is wrong"), api.Errorf(api.CodeCorrupt, "block 3 is wrong")},
		"strange text": {
			api.Errorf(api.CodeUnavailable, "ö \x7f\r\nX: y \"q\" \x00"), api.Errorf(api.CodeUnavailable, "ö \x7f\r\nX: y \"q\" \x00")},
		"long text": {
			api.Errorf(api.CodeNotFound, "%s", strings.Repeat("ü", 10_000)),
			api.Errorf(api.CodeNotFound, "%s", strings.Repeat("ü", 300)+"...")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client := connect(t, &fakeNode{write: failLate(test.sent)}, api.HandlerConfig{})
			var b bytes.Buffer
			err := client.Cat(t.Context(), api.CatRequest{Ref: "r"}, &b)
			if !reflect.DeepEqual(err, error(test.want)) || b.String() != "some" {
				t.Errorf("got %q and %#v, want some and %#v", b.String(), err, test.want)
			}
		})
	}
}

// A client that did not ask for trailers must not take a part for the whole.
func TestCatErrorCutsPlainClients(t *testing.T) {
	path := serve(t, api.Handler(&fakeNode{write: failLate(errors.New("x"))}, api.HandlerConfig{}))
	resp, err := plainClient(path).Get("http://x/v1/videos/r/content")
	if err == nil {
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
	}
	if err == nil {
		t.Error("got an answer that looks whole")
	}
}

func TestCatConnectionCut(t *testing.T) {
	client := api.NewClient(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "some")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})))
	err := client.Cat(t.Context(), api.CatRequest{Ref: "r"}, io.Discard)
	wantError(t, err, api.CodeUnavailable)
}

func TestCatTrailerNotOurs(t *testing.T) {
	for _, trailer := range []string{"x", "0 \"\"", "4", "4 no quotes", "-"} {
		client := api.NewClient(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "Vidsync-Error")
			io.WriteString(w, "some")
			w.Header().Set("Vidsync-Error", trailer)
		})))
		err := client.Cat(t.Context(), api.CatRequest{Ref: "r"}, io.Discard)
		if api.CodeOf(err) == 0 {
			t.Errorf("trailer %q: got %v, want an error with a code", trailer, err)
		}
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("pipe closed") }

// When the client cannot write on, the node stops reading.
func TestCatWriterFails(t *testing.T) {
	stopped := make(chan error, 1)
	node := &fakeNode{write: func(_ context.Context, w io.Writer) error {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				stopped <- err
				return err
			}
		}
	}}
	client := connect(t, node, api.HandlerConfig{})
	err := client.Cat(t.Context(), api.CatRequest{Ref: "r"}, failingWriter{})
	wantError(t, err, api.CodeOther)
	<-stopped
}

func TestTranscriptContentTypes(t *testing.T) {
	path := serve(t, api.Handler(new(fakeNode), api.HandlerConfig{}))
	for format, want := range map[string]string{
		"srt": "application/x-subrip; charset=utf-8", "vtt": "text/vtt; charset=utf-8",
		"txt": "text/plain; charset=utf-8", "json": "application/json",
	} {
		resp, err := plainClient(path).Get("http://x/v1/videos/r/transcript?format=" + format)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); got != want {
			t.Errorf("%s: content type %q, want %q", format, got, want)
		}
	}
}
