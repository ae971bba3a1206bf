package api_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/vidsync/vidsync/api"
)

// A stream that would go on is ended with an error that says why.
func TestServeEndsStreams(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	node := &fakeNode{long: func(ctx context.Context, _ func(api.Progress)) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	}}
	path := filepath.Join(socketDir(t), "s.sock")
	l := listen(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- api.Serve(ctx, l, api.Handler(node, api.HandlerConfig{}), nil) }()
	client := api.NewClient(path)
	go func() {
		<-started
		cancel()
	}()
	_, err := client.Fetch(t.Context(), api.FetchRequest{}, nil)
	wantError(t, err, api.CodeUnavailable)
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	_, err = client.Ping(t.Context())
	wantError(t, err, api.CodeNoDaemon)
}

// A request that runs when the daemon is told to stop is still answered.
func TestServeFinishesRequests(t *testing.T) {
	t.Parallel()
	path := filepath.Join(socketDir(t), "s.sock")
	l := listen(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	inside, h := make(chan struct{}), api.Handler(new(fakeNode), api.HandlerConfig{})
	served := make(chan error, 1)
	go func() {
		served <- api.Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(inside)
			<-ctx.Done()
			h.ServeHTTP(w, r)
		}), nil)
	}()
	go func() {
		<-inside
		cancel()
	}()
	if _, err := api.NewClient(path).Status(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServeCutsOffTheStubborn(t *testing.T) {
	t.Parallel()
	release, left := make(chan struct{}), make(chan struct{})
	path := filepath.Join(socketDir(t), "s.sock")
	l := listen(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- api.Serve(ctx, l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			defer close(left)
			cancel()
			<-release
		}), nil)
	}()
	_, err := api.NewClient(path).Status(t.Context())
	wantError(t, err, api.CodeUnavailable)
	if err := <-served; err == nil {
		t.Error("Serve returned nil although a request was cut off")
	}
	close(release)
	<-left
}

func TestServeOfEndedContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := api.Serve(ctx, listen(t, filepath.Join(socketDir(t), "s.sock")), http.NotFoundHandler(), nil); err != nil {
		t.Error(err)
	}
}

func TestServeOfClosedListener(t *testing.T) {
	t.Parallel()
	l := listen(t, filepath.Join(socketDir(t), "s.sock"))
	l.Close()
	if err := api.Serve(t.Context(), l, http.NotFoundHandler(), nil); err == nil {
		t.Error("no error")
	}
}
