package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vidsync/vidsync/api"
)

func TestTokenHandler(t *testing.T) {
	const right = "Bearer s3cret"
	tests := map[string]struct {
		host, auth string
		headers    map[string]string
		method     string
		want       int
	}{
		"right":                {"127.0.0.1:4000", right, nil, "POST", 200},
		"scheme in lower case": {"localhost", "bearer s3cret", nil, "POST", 200},
		"localhost, port":      {"LocalHost:80", right, nil, "GET", 200},
		"loopback v4":          {"127.9.9.9", right, nil, "GET", 200},
		"loopback v6":          {"[::1]", right, nil, "GET", 200},
		"loopback v6, port":    {"[::1]:4000", right, nil, "GET", 200},
		"mapped loopback":      {"[::ffff:127.0.0.1]:4000", right, nil, "GET", 200},
		"allowed":              {"Node.lan:4000", right, nil, "GET", 200},

		"rebound name":          {"evil.example:4000", right, nil, "GET", 421},
		"name like loopback":    {"127.0.0.1.evil.example", right, nil, "GET", 421},
		"name like localhost":   {"localhost.evil.example", right, nil, "GET", 421},
		"other address":         {"192.168.1.2:4000", right, nil, "GET", 421},
		"all addresses":         {"0.0.0.0:4000", right, nil, "GET", 421},
		"no host":               {"", right, nil, "GET", 421},
		"no token":              {"localhost", "", nil, "GET", 401},
		"wrong token":           {"localhost", "Bearer s3creT", nil, "GET", 401},
		"longer token":          {"localhost", "Bearer s3cretx", nil, "GET", 401},
		"shorter token":         {"localhost", "Bearer s3cre", nil, "GET", 401},
		"empty token":           {"localhost", "Bearer ", nil, "GET", 401},
		"bare token":            {"localhost", "s3cret", nil, "GET", 401},
		"basic":                 {"localhost", "Basic s3cret", nil, "GET", 401},
		"same origin":           {"localhost:1", right, map[string]string{"Origin": "http://localhost:1"}, "POST", 200},
		"cross origin":          {"localhost:1", right, map[string]string{"Origin": "http://evil.example"}, "POST", 403},
		"null origin":           {"localhost:1", right, map[string]string{"Origin": "null"}, "POST", 403},
		"cross site, by header": {"localhost", right, map[string]string{"Sec-Fetch-Site": "cross-site"}, "DELETE", 403},
	}
	inner := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	h := api.TokenHandler(inner, "s3cret", []string{"node.LAN"})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			checkToken(t, h, request(test.method, test.host, test.auth, test.headers), test.want)
		})
	}
	t.Run("no token set", func(t *testing.T) {
		h := api.TokenHandler(inner, "", nil)
		for _, auth := range []string{"", "Bearer", "Bearer "} {
			checkToken(t, h, request("GET", "localhost", auth, nil), http.StatusUnauthorized)
		}
	})
}

func request(method, host, auth string, headers map[string]string) *http.Request {
	r := httptest.NewRequest(method, "/v1/gc", nil)
	r.Host = host
	if auth != "" {
		r.Header.Set("Authorization", auth)
	}
	for k, v := range headers {
		r.Header.Set(k, v)
	}
	return r
}

func checkToken(t *testing.T, h http.Handler, r *http.Request, want int) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != want {
		t.Fatalf("got %d, want %d", w.Code, want)
	}
	if want == http.StatusOK {
		return
	}
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code != api.CodeRefused || p.Detail == "" {
		t.Errorf("got %+v, %v, want a problem with code 12", p, err)
	}
}
