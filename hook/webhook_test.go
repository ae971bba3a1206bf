package hook_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vidsync/vidsync/hook"
)

var message = hook.Message{ID: "evt_1", Body: []byte(`{"type":"arrived"}`), Vars: []string{"VIDSYNC_EVENT=arrived"}}

// TestSign: the published example of the Standard Webhooks specification.
func TestSign(t *testing.T) {
	secret, err := hook.ParseSecret([]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := hook.Sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func newWebhook(t *testing.T, url string, secret []byte) *hook.Webhook {
	t.Helper()
	w, err := hook.NewWebhook(url, secret, "vidsync/test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// serve starts a server on one of the loopback addresses.
func serve(t *testing.T, network, address string, handler http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skipf("no %s here: %v", network, err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func TestWebhookRequest(t *testing.T) {
	secret := []byte("a secret of enough bytes to be one")
	for _, at := range []struct{ network, address string }{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}} {
		t.Run(at.network, func(t *testing.T) {
			url := serve(t, at.network, at.address, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				seconds, err := strconv.ParseInt(r.Header.Get("webhook-timestamp"), 10, 64)
				want := hook.Sign(secret, "evt_1", time.Unix(seconds, 0), body)
				if err != nil || r.Method != http.MethodPost || r.URL.RequestURI() != "/in?k=v" || string(body) != string(message.Body) ||
					r.Header.Get("webhook-id") != "evt_1" || r.Header.Get("webhook-signature") != want ||
					r.Header.Get("Content-Type") != "application/json" || r.UserAgent() != "vidsync/test" {
					t.Errorf("%s %s %v %q", r.Method, r.URL, r.Header, body)
				}
				w.WriteHeader(http.StatusNoContent)
			})
			if err := newWebhook(t, url+"/in?k=v", secret).Send(t.Context(), message); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWebhookAnswers(t *testing.T) {
	tests := []struct {
		code   int
		header string // Retry-After
		body   string
		want   string // of the error; empty: none
		hook.Failure
	}{
		{code: 200, body: strings.Repeat("long ", 100_000)},
		{code: 202},
		{code: 301, want: "answer 301 Moved Permanently: redirects are not followed; set hooks.url to where the server moved"},
		{code: 401, body: "who\x1b[31m are\nyou?", want: "answer 401 Unauthorized: who [31m are you?"},
		{code: 410, want: "answer 410 Gone", Failure: hook.Failure{Gone: true}},
		{code: 429, header: "120", want: "answer 429 Too Many Requests", Failure: hook.Failure{Unreachable: true, After: 2 * time.Minute}},
		{code: 500, body: strings.Repeat("x", 1000), want: "answer 500 Internal Server Error: " + strings.Repeat("x", 200) + "…"},
		{code: 503, header: "99999999999999", want: "answer 503 Service Unavailable", Failure: hook.Failure{Unreachable: true}},
		{code: 503, header: "999999", want: "answer 503 Service Unavailable", Failure: hook.Failure{Unreachable: true, After: time.Hour}},
		{code: 503, header: "-1", want: "answer 503 Service Unavailable", Failure: hook.Failure{Unreachable: true}},
	}
	for _, test := range tests {
		t.Run(strconv.Itoa(test.code)+test.header, func(t *testing.T) {
			url := serve(t, "tcp4", "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/" {
					t.Errorf("redirect to %s was followed", r.URL)
				}
				if test.header != "" {
					w.Header().Set("Retry-After", test.header)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.code)
				_, _ = io.WriteString(w, test.body)
			})
			err := newWebhook(t, url, nil).Send(t.Context(), message)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			f, ok := errors.AsType[*hook.Failure](err)
			if !ok || f.Error() != test.want || f.Gone != test.Gone || f.Unreachable != test.Unreachable || f.After > time.Hour ||
				test.header != "99999999999999" && f.After != test.After {
				t.Errorf("%+v, %v", f, err)
			}
		})
	}
}

// TestWebhookUnreachable: nobody listens, or somebody does who is no web server.
// The message names the server, not the URL's path, which may be a secret.
func TestWebhookUnreachable(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err == nil {
			_, _ = io.WriteString(c, "SSH-2.0-x\r\n")
			c.Close()
		}
		l.Close()
	}()
	w := newWebhook(t, "http://"+l.Addr().String()+"/token", nil)
	for range 2 {
		f, ok := errors.AsType[*hook.Failure](w.Send(t.Context(), message))
		if !ok || !f.Unreachable || strings.Contains(f.Error(), "token") || !strings.Contains(f.Error(), "http://127.0.0.1:") {
			t.Errorf("%+v", f)
		}
		<-done
	}
}

func TestWebhookContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := serve(t, "tcp4", "127.0.0.1:0", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // else the server does not hear that the client is gone
		cancel()
		<-r.Context().Done()
	})
	if err := newWebhook(t, url, nil).Send(ctx, message); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestCheckURL(t *testing.T) {
	for url, want := range map[string]string{
		"https://example.org/hook?t=1": "", "http://[2001:db8::1]:8080": "", "http://gpu": "",
		"example.org/hook": "web server", "ftp://example.org": "web server", "http://": "web server", "http://:80": "web server",
		"https://me:word@example.org": "hooks.secret-file", "https://example.org/#a": "#", "http://a b": "not a URL",
	} {
		err := hook.CheckURL(url)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := strings.Repeat("s", 24)
	if got, err := hook.ReadSecret(write("plain", " "+plain+"\n", 0o640)); err != nil || string(got) != plain {
		t.Errorf("%q, %v", got, err)
	}
	for _, path := range []string{
		write("short", "abc", 0o600), write("open", plain, 0o644), write("base64", "whsec_?", 0o600), write("long", strings.Repeat("s", 5000), 0o600),
		dir, filepath.Join(dir, "none"),
	} {
		if got, err := hook.ReadSecret(path); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "sss") {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add([]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if secret, err := hook.ParseSecret(data); err == nil && (len(secret) < 24 || len(secret) > 4096) {
			t.Errorf("secret of %d bytes", len(secret))
		}
	})
}
