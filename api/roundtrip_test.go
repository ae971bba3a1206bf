package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/api"
)

// calls calls every method of Node, with requests in which every field is set.
var calls = map[string]func(context.Context, api.Node) (any, error){
	"ID": func(ctx context.Context, n api.Node) (any, error) { return n.ID(ctx) },
	"Add": func(ctx context.Context, n api.Node) (any, error) {
		return n.Add(ctx, filled[api.AddRequest](), nil)
	},
	"Fetch": func(ctx context.Context, n api.Node) (any, error) {
		return n.Fetch(ctx, filled[api.FetchRequest](), nil)
	},
	"Ticket": func(ctx context.Context, n api.Node) (any, error) {
		return n.Ticket(ctx, filled[api.TicketRequest]())
	},
	"Revoke": func(ctx context.Context, n api.Node) (any, error) { return n.Revoke(ctx, "a/b c") },
	"Peers":  func(ctx context.Context, n api.Node) (any, error) { return n.Peers(ctx) },
	"Invite": func(ctx context.Context, n api.Node) (any, error) {
		return n.Invite(ctx, filled[api.InviteRequest]())
	},
	"Join": func(ctx context.Context, n api.Node) (any, error) { return n.Join(ctx, filled[api.JoinRequest]()) },
	"AddPeer": func(ctx context.Context, n api.Node) (any, error) {
		return n.AddPeer(ctx, filled[api.AddPeerRequest]())
	},
	"RemovePeer": func(ctx context.Context, n api.Node) (any, error) { return n.RemovePeer(ctx, "a/b c") },
	"Follow": func(ctx context.Context, n api.Node) (any, error) {
		return n.Follow(ctx, filled[api.FollowRequest]())
	},
	"Unfollow": func(ctx context.Context, n api.Node) (any, error) { return n.Unfollow(ctx, "a/b c") },
	"Follows":  func(ctx context.Context, n api.Node) (any, error) { return n.Follows(ctx) },
	"Receipts": func(ctx context.Context, n api.Node) (any, error) { return n.Receipts(ctx, "../x?y") },
	"Videos":   func(ctx context.Context, n api.Node) (any, error) { return api.Collect(n.Videos(ctx)) },
	"Info":     func(ctx context.Context, n api.Node) (any, error) { return n.Info(ctx, "../x?y") },
	"Status":   func(ctx context.Context, n api.Node) (any, error) { return n.Status(ctx) },
	"Jobs":     func(ctx context.Context, n api.Node) (any, error) { return n.Jobs(ctx) },
	"Doctor":   func(ctx context.Context, n api.Node) (any, error) { return n.Doctor(ctx) },
	"Limit": func(ctx context.Context, n api.Node) (any, error) {
		return n.Limit(ctx, filled[api.LimitRequest]())
	},
	"Watches": func(ctx context.Context, n api.Node) (any, error) { return n.Watches(ctx) },
	"AddWatch": func(ctx context.Context, n api.Node) (any, error) {
		return n.AddWatch(ctx, filled[api.AddWatchRequest]())
	},
	"RemoveWatch": func(ctx context.Context, n api.Node) (any, error) { return n.RemoveWatch(ctx, "/a b/c?d&e=ö") },
	"Cat": func(ctx context.Context, n api.Node) (any, error) {
		var b bytes.Buffer
		err := n.Cat(ctx, filled[api.CatRequest](), &b)
		return b.String(), err
	},
	"Verify": func(ctx context.Context, n api.Node) (any, error) {
		return n.Verify(ctx, filled[api.VerifyRequest](), nil)
	},
	"Remove": func(ctx context.Context, n api.Node) (any, error) {
		return n.Remove(ctx, filled[api.RemoveRequest]())
	},
	"GC": func(ctx context.Context, n api.Node) (any, error) { return n.GC(ctx) },
	"Transcribe": func(ctx context.Context, n api.Node) (any, error) {
		return n.Transcribe(ctx, filled[api.TranscribeRequest](), nil)
	},
	"TranscriptText": func(ctx context.Context, n api.Node) (any, error) {
		var b bytes.Buffer
		err := n.TranscriptText(ctx, filled[api.TranscriptRequest](), &b)
		return b.String(), err
	},
}

func TestCallsCoverNode(t *testing.T) {
	for m := range reflect.TypeFor[api.Node]().Methods() {
		if calls[m.Name] == nil {
			t.Errorf("no call for method %s", m.Name)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	node := new(fakeNode)
	client := connect(t, node, api.HandlerConfig{})
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			want, err := call(t.Context(), node)
			if err != nil {
				t.Fatal(err)
			}
			wantRequests := node.take()
			got, err := call(t.Context(), client)
			if err != nil {
				t.Fatal(err)
			}
			if gotRequests := node.take(); !reflect.DeepEqual(gotRequests, wantRequests) {
				t.Errorf("node was asked\n%+v, want\n%+v", gotRequests, wantRequests)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("client answered\n%+v, want\n%+v", got, want)
			}
		})
	}
}

func TestZeroRequestsRoundTrip(t *testing.T) {
	node := new(fakeNode)
	client := connect(t, node, api.HandlerConfig{})
	ctx := t.Context()
	var b bytes.Buffer
	want := []any{
		api.AddRequest{}, api.FetchRequest{}, api.VerifyRequest{}, api.TranscribeRequest{}, api.TicketRequest{},
		api.AddPeerRequest{}, api.CatRequest{Ref: "r"}, api.RemoveRequest{Ref: "r"}, api.TranscriptRequest{Ref: "r"}, api.LimitRequest{},
	}
	_, e1 := client.Add(ctx, api.AddRequest{}, nil)
	_, e2 := client.Fetch(ctx, api.FetchRequest{}, nil)
	_, e3 := client.Verify(ctx, api.VerifyRequest{}, nil)
	_, e4 := client.Transcribe(ctx, api.TranscribeRequest{}, nil)
	_, e5 := client.Ticket(ctx, api.TicketRequest{})
	_, e6 := client.AddPeer(ctx, api.AddPeerRequest{})
	e7 := client.Cat(ctx, api.CatRequest{Ref: "r"}, &b)
	_, e8 := client.Remove(ctx, api.RemoveRequest{Ref: "r"})
	e9 := client.TranscriptText(ctx, api.TranscriptRequest{Ref: "r"}, &b)
	_, e10 := client.Limit(ctx, api.LimitRequest{})
	if err := errors.Join(e1, e2, e3, e4, e5, e6, e7, e8, e9, e10); err != nil {
		t.Fatal(err)
	}
	if got := node.take(); !reflect.DeepEqual(got, want) {
		t.Errorf("node was asked\n%+v, want\n%+v", got, want)
	}
}

func TestErrorsKeepCodeAndMessage(t *testing.T) {
	codes := []api.Code{
		api.CodeOther, api.CodeUsage, api.CodePartly, api.CodeNotFound, api.CodeUnavailable, api.CodeCorrupt,
		api.CodeNoDaemon, api.CodeNoSpace, api.CodeInUse, api.CodeRefused, 99,
	}
	node := new(fakeNode)
	client := connect(t, node, api.HandlerConfig{})
	for _, code := range codes {
		want := &api.Error{Code: code, Message: fmt.Sprintf("no such \"thing\" ö\nas %d", code)}
		node.err = want
		for name, call := range calls {
			_, err := call(t.Context(), client)
			if !reflect.DeepEqual(err, error(want)) {
				t.Errorf("%s: got %#v, want %#v", name, err, want)
			}
		}
	}
}

func TestForeignErrors(t *testing.T) {
	tests := map[string]struct {
		err     error
		code    api.Code
		message string
	}{
		"plain":    {errors.New("boom"), api.CodeOther, "boom"},
		"wrapped":  {fmt.Errorf("fetch x: %w", api.Errorf(api.CodeNoSpace, "full")), api.CodeNoSpace, "fetch x: full"},
		"canceled": {context.Canceled, api.CodeUnavailable, "the daemon stopped"},
		"deadline": {context.DeadlineExceeded, api.CodeUnavailable, "not done in time"},
	}
	node := new(fakeNode)
	client := connect(t, node, api.HandlerConfig{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			node.err = test.err
			for _, method := range []string{"Info", "Fetch", "Cat"} {
				_, err := calls[method](t.Context(), client)
				if e := wantError(t, err, test.code); !strings.HasPrefix(e.Message, test.message) {
					t.Errorf("%s: got message %q, want %q", method, e.Message, test.message)
				}
			}
		})
	}
}

func TestStrangeRefs(t *testing.T) {
	node := new(fakeNode)
	client := connect(t, node, api.HandlerConfig{})
	for _, ref := range []string{".", "..", "...", "a/../b", "a%2Fb", " ", "ö", "\xff\x00", "a+b&c=d", strings.Repeat("x", 8000)} {
		if _, err := client.Info(t.Context(), ref); err != nil {
			t.Errorf("Info(%q): %v", ref, err)
		}
		if got := node.take(); !reflect.DeepEqual(got, []any{ref}) {
			t.Errorf("node was asked for %q, want %q", got, ref)
		}
	}
	for _, ref := range []string{"", "/"} {
		_, err := client.Info(t.Context(), ref)
		wantError(t, err, api.CodeUsage)
		_, err = client.RemovePeer(t.Context(), ref)
		wantError(t, err, api.CodeUsage)
	}
}

func TestPing(t *testing.T) {
	client := connect(t, new(fakeNode), api.HandlerConfig{Version: "1.2.3"})
	got, err := client.Ping(t.Context())
	if want := (api.Health{Version: "1.2.3", PeerID: filled[api.Identity]().PeerID}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestNoDaemon(t *testing.T) {
	path := filepath.Join(socketDir(t), "vidsync.sock")
	_, err := api.NewClient(path).Ping(t.Context())
	want := "cannot reach the daemon at " + path + "; start it with: vidsync daemon"
	if e := wantError(t, err, api.CodeNoDaemon); e.Message != want {
		t.Errorf("got %q, want %q", e.Message, want)
	}
}

func TestAnotherUsersDaemon(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may connect to every socket")
	}
	path := serve(t, api.Handler(new(fakeNode), api.HandlerConfig{}))
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err := api.NewClient(path).Ping(t.Context())
	wantError(t, err, api.CodeRefused)
}

func TestClientContextErrors(t *testing.T) {
	client := connect(t, new(fakeNode), api.HandlerConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range calls {
		if _, err := call(ctx, client); err != context.Canceled {
			t.Errorf("%s: got %v, want context.Canceled", name, err)
		}
	}
}

func TestAnswersNotOurs(t *testing.T) {
	tests := map[string]struct {
		h    http.HandlerFunc
		code api.Code
	}{
		"no JSON":        {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, api.CodeOther},
		"no problem":     {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "what?", 404) }, api.CodeOther},
		"other status":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }, api.CodeOther},
		"cut off":        {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, api.CodeUnavailable},
		"short body":     {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "9") }, api.CodeUnavailable},
		"error, no code": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); w.Write([]byte(`{"detail":"x"}`)) }, api.CodeOther},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client := api.NewClient(serve(t, test.h))
			_, err := client.Status(t.Context())
			wantError(t, err, test.code)
		})
	}
}
