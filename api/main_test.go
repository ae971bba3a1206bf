package api_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/vidsync/vidsync/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// socketDir is a folder whose path is short enough for a socket in it.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "vs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// serve serves h on a socket until the test ends and returns the socket's
// path. Serve must end well.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	path := filepath.Join(socketDir(t), "vidsync.sock")
	l, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, h)
	return path
}

// serveOn serves h on l until stop is called or the test ends.
func serveOn(t *testing.T, l net.Listener, h http.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- api.Serve(ctx, l, h, nil) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// connect serves node and returns a client for it.
func connect(t *testing.T, node api.Node, cfg api.HandlerConfig) *api.Client {
	t.Helper()
	return api.NewClient(serve(t, api.Handler(node, cfg)))
}

// plainClient is an HTTP client that knows nothing of vidsync.
func plainClient(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}

// wantError fails the test unless err is an *api.Error of the code.
func wantError(t *testing.T, err error, code api.Code) *api.Error {
	t.Helper()
	e, ok := err.(*api.Error)
	if !ok || e.Code != code {
		t.Fatalf("got error %T %v (code %d), want an *api.Error with code %d", err, err, api.CodeOf(err), code)
	}
	return e
}
