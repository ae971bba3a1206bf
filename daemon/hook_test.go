package daemon_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
	"github.com/vidsync/vidsync/daemon"
	"github.com/vidsync/vidsync/manifest"
)

// hooked is a node that tells a web server of events.
func hooked(t *testing.T, url string, events ...string) func(*daemon.Config) {
	return func(c *daemon.Config) {
		c.Serve = true
		c.Hooks = daemon.HookConfig{URL: url, Events: events}
	}
}

// listen is a web server that refuses until it is told otherwise.
func listen(t *testing.T) (url string, open func(), events <-chan map[string]any) {
	t.Helper()
	taken, ready := make(chan map[string]any, 100), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var e map[string]any
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		select {
		case <-ready:
		default:
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if err != nil || e["id"] != r.Header.Get("webhook-id") {
			t.Errorf("%v: %q", err, body)
		}
		taken <- e
	}))
	t.Cleanup(s.Close)
	return s.URL, func() { close(ready) }, taken
}

func nextEvent(t *testing.T, events <-chan map[string]any, want map[string]any) {
	t.Helper()
	select {
	case e := <-events:
		for key, v := range want {
			if e[key] != v {
				t.Errorf("%s is %v, want %v, in %v", key, e[key], v, e)
			}
		}
	case <-time.After(time.Minute):
		t.Fatalf("no event %v", want)
	}
}

// TestHookArrived: a fetch and a failed fetch are told, with an answer that comes
// late; after a restart, too.
func TestHookArrived(t *testing.T) {
	url, open, events := listen(t)
	source := startNode(t)
	path, _ := randomFile(t, "show.mp4", 3_000_000, 1)
	added := source.add(t, path)
	home := t.TempDir()
	n := startNodeAt(t, home, hooked(t, url))
	res, err := n.Fetch(t.Context(), api.FetchRequest{Ref: source.ticket(t, added.CID)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	n.stop()
	open()
	n = startNodeAt(t, home, hooked(t, url))
	nextEvent(t, events, map[string]any{
		"type": "arrived", "cid": added.CID, "seq": 1.0, "name": "show.mp4", "size": 3e6, "path": res.Path,
	})
	if _, err := n.Fetch(t.Context(), api.FetchRequest{Ref: source.ticket(t, added.CID)}, nil); err != nil {
		t.Fatal(err) // it is here, which is no other arrival
	}
	nobodys, err := manifest.Split(t.Context(), strings.NewReader("x"), 1, manifest.SplitConfig{})
	if err != nil {
		t.Fatal(err)
	}
	_, failure := n.Fetch(t.Context(), api.FetchRequest{Ref: nobodys.CID().String()}, nil)
	if failure == nil {
		t.Fatal("fetched what nobody has")
	}
	nextEvent(t, events, map[string]any{
		"type": "failed", "cid": nobodys.CID().String(), "seq": 1.0, "job": "fetch", "reason": failure.Error(), "attempts": 1.0, "path": nil,
	})
	s, err := n.Status(t.Context())
	if err != nil || len(s.Hooks) != 1 || s.Hooks[0].Kind != "webhook" || s.Hooks[0].Target != url {
		t.Errorf("%+v, %v", s.Hooks, err)
	}
}

// TestHookAdded: a video that is new is told, a further copy of it is not.
func TestHookAdded(t *testing.T) {
	url, open, events := listen(t)
	open()
	n := startNode(t, hooked(t, url, "added"))
	first, data := randomFile(t, "a.mp4", 1_000_000, 1)
	second := filepath.Join(t.TempDir(), "b.mp4")
	if err := os.WriteFile(second, data, 0o600); err != nil {
		t.Fatal(err)
	}
	third, _ := randomFile(t, "c.mp4", 1_000_000, 2)
	a := n.add(t, first)
	n.add(t, second)
	n.add(t, first)
	c := n.add(t, third)
	seen := map[any]any{}
	for range 2 {
		select {
		case e := <-events:
			seen[e["cid"]] = e["path"]
		case <-time.After(time.Minute):
			t.Fatal("no event")
		}
	}
	if seen[a.CID] != first || seen[c.CID] != third {
		t.Errorf("told of %v", seen)
	}
}

// TestHookReload: a hook comes and goes while the node runs; a mistake changes
// nothing.
func TestHookReload(t *testing.T) {
	url, open, events := listen(t)
	open()
	n := startNode(t, func(c *daemon.Config) { c.Serve = true })
	path, _ := randomFile(t, "a.mp4", 1000, 1)
	n.add(t, path)
	cfg := daemon.Config{Hooks: daemon.HookConfig{URL: url, Events: []string{"added"}}}
	if err := n.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if err := n.Reload(daemon.Config{Hooks: daemon.HookConfig{URL: "x"}}); err == nil || !strings.Contains(err.Error(), "hooks.url") {
		t.Errorf("error %v", err)
	}
	path, _ = randomFile(t, "b.mp4", 1000, 2)
	b := n.add(t, path)
	nextEvent(t, events, map[string]any{"type": "added", "cid": b.CID})
	if err := n.Reload(daemon.Config{}); err != nil {
		t.Fatal(err)
	}
	if s, err := n.Status(t.Context()); err != nil || len(s.Hooks) != 0 {
		t.Errorf("%+v, %v", s.Hooks, err)
	}
}
