package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vidsync/vidsync/api"
)

// problem is what a failed request answers.
type problem struct {
	Status int      `json:"status"`
	Detail string   `json:"detail"`
	Code   api.Code `json:"code"`
}

func TestBadRequests(t *testing.T) {
	node := new(fakeNode)
	path := serve(t, api.Handler(node, api.HandlerConfig{}))
	long := `{"paths":["` + strings.Repeat("x", api.MaxRequest) + `"]}`
	tests := map[string]struct {
		method, url, contentType, body string
		status                         int
		detail                         string
	}{
		"no JSON":        {"POST", "/v1/tickets", "application/json", "{", 400, "body"},
		"no body":        {"POST", "/v1/tickets", "application/json", "", 400, "body is required"},
		"form":           {"POST", "/v1/tickets", "text/plain", `{"ref":"x"}`, 415, "text/plain"},
		"missing field":  {"POST", "/v1/tickets", "application/json", `{}`, 422, "ref"},
		"unknown field":  {"POST", "/v1/tickets", "application/json", `{"ref":"x","reef":1}`, 422, "reef"},
		"wrong type":     {"POST", "/v1/fetches", "application/json", `{"ref":7}`, 422, "body.ref"},
		"wrong query":    {"GET", "/v1/videos/x/content?offset=a", "", "", 422, "query.offset"},
		"unknown query":  {"GET", "/v1/videos/x/content?ofset=1", "", "", 422, "query.ofset"},
		"huge number":    {"GET", "/v1/videos/x/content?offset=9999999999999999999", "", "", 422, "query.offset"},
		"unknown path":   {"GET", "/v1/nothing", "", "", 404, "/v1/nothing"},
		"unknown method": {"PUT", "/v1/videos", "", "", 404, "PUT"},
		"HEAD of cat":    {"HEAD", "/v1/videos/x/content", "", "", 405, ""},
		"oversized":      {"POST", "/v1/videos", "application/json", long, 413, "limit"},
		"not asked for":  {"POST", "/v1/gc", "application/json", long, 413, "limit"},
		"no docs":        {"GET", "/docs", "", "", 404, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			// A plain reader hides the length: the limit must not hang on it.
			req, err := http.NewRequest(test.method, "http://x"+test.url, io.MultiReader(strings.NewReader(test.body)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", test.contentType)
			resp, err := plainClient(path).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if ct := resp.Header.Get("Content-Type"); resp.StatusCode != test.status || ct != "application/problem+json" {
				t.Errorf("got %s, %s, want %d and a problem", resp.Status, ct, test.status)
			}
			if test.method == http.MethodHead {
				return
			}
			var p problem
			if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
				t.Fatal(err)
			}
			if p.Code != api.CodeUsage || p.Status != test.status || !strings.Contains(p.Detail, test.detail) || len(p.Detail) > 1000 {
				t.Errorf("got %+v, want code 2 and a detail with %q", p, test.detail)
			}
		})
	}
	if asked := node.take(); asked != nil {
		t.Errorf("node was asked %v", asked)
	}
}

func TestClientRefusesOversizedRequest(t *testing.T) {
	client := connect(t, new(fakeNode), api.HandlerConfig{})
	_, err := client.Add(t.Context(), api.AddRequest{Paths: []string{strings.Repeat("x", api.MaxRequest)}}, nil)
	wantError(t, err, api.CodeUsage)
	_, err = client.Add(t.Context(), api.AddRequest{Paths: []string{strings.Repeat("x", api.MaxRequest-100)}}, nil)
	if err != nil {
		t.Errorf("a request within the limit: %v", err)
	}
}

func TestTooManyRequests(t *testing.T) {
	release := make(chan struct{})
	var started sync.WaitGroup
	started.Add(api.MaxRequests)
	node := &fakeNode{long: func(context.Context, func(api.Progress)) error {
		started.Done()
		<-release
		return nil
	}}
	client := connect(t, node, api.HandlerConfig{})
	var waiting sync.WaitGroup
	for range api.MaxRequests {
		waiting.Go(func() {
			if _, err := client.Fetch(context.Background(), api.FetchRequest{}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	started.Wait()
	_, err := client.ID(t.Context())
	wantError(t, err, api.CodeUnavailable)
	close(release)
	waiting.Wait()
	if _, err := client.ID(t.Context()); err != nil {
		t.Error(err)
	}
}

// deadlines is a ResponseWriter that records its deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = append(d.read, t); return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = append(d.write, t); return nil }

// A deadline left behind would end a long operation or the next request on the
// connection.
func TestDeadlinesAreTakenBack(t *testing.T) {
	h := api.Handler(new(fakeNode), api.HandlerConfig{})
	tests := map[string]struct {
		method, url, body string
		writes            bool
	}{
		"stream":    {"POST", "/v1/videos", `{"paths":["/a"]}`, true},
		"with body": {"POST", "/v1/tickets", `{"ref":"r"}`, false},
		"no body":   {"POST", "/v1/gc", "", false},
		"content":   {"GET", "/v1/videos/r/content", "", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
			h.ServeHTTP(w, httptest.NewRequest(test.method, test.url, strings.NewReader(test.body)))
			if w.Code != http.StatusOK {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			checkDeadlines(t, "read", w.read)
			if test.writes {
				checkDeadlines(t, "write", w.write)
			}
		})
	}
}

func checkDeadlines(t *testing.T, name string, set []time.Time) {
	t.Helper()
	if len(set) < 2 || set[0].IsZero() || !set[len(set)-1].IsZero() {
		t.Errorf("%s deadlines %v, want some, and none in the end", name, set)
	}
}

// A node that panics takes nobody else down.
func TestNodePanics(t *testing.T) {
	node := &fakeNode{long: func(context.Context, func(api.Progress)) error { panic("boom") }}
	client := connect(t, node, api.HandlerConfig{})
	_, err := client.Add(t.Context(), api.AddRequest{}, nil)
	wantError(t, err, api.CodeUnavailable)
	if _, err := client.ID(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpenAPI(t *testing.T) {
	var doc struct {
		OpenAPI string `json:"openapi"`
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Summary     string `json:"summary"`
			Responses   map[string]struct {
				Content map[string]any `json:"content"`
			} `json:"responses"`
		} `json:"paths"`
		Components struct {
			Schemas map[string]any `json:"schemas"`
		} `json:"components"`
	}
	text := getDocument(t, new(fakeNode))
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || doc.Info.Title == "" || doc.Info.Version != "9.9" {
		t.Errorf("got openapi %q, info %+v", doc.OpenAPI, doc.Info)
	}
	var got []string
	for path, methods := range doc.Paths {
		for method, op := range methods {
			got = append(got, op.OperationID+" "+method+" "+path)
			if op.Summary == "" || op.Responses["200"].Content == nil || op.Responses["default"].Content["application/problem+json"] == nil {
				t.Errorf("%s is not fully described: %+v", op.OperationID, op)
			}
		}
	}
	slices.Sort(got)
	want := []string{
		"add-peer post /v1/peers", "add-videos post /v1/videos", "add-watch post /v1/watches", "collect-garbage post /v1/gc",
		"create-invite post /v1/invites", "create-ticket post /v1/tickets", "fetch-video post /v1/fetches", "follow-peer post /v1/follows",
		"get-content get /v1/videos/{ref}/content", "get-health get /v1/health", "get-id get /v1/id",
		"get-status get /v1/status", "get-transcript get /v1/videos/{ref}/transcript", "get-video get /v1/videos/{ref}",
		"join post /v1/joins",
		"list-follows get /v1/follows", "list-jobs get /v1/jobs", "list-peers get /v1/peers", "list-receipts get /v1/videos/{ref}/receipts", "list-videos get /v1/videos", "list-watches get /v1/watches",
		"remove-peer delete /v1/peers/{ref}", "remove-video delete /v1/videos/{ref}", "remove-watch delete /v1/watches", "revoke-tickets post /v1/revocations", "run-doctor get /v1/doctor", "set-limits patch /v1/limits",
		"transcribe-video post /v1/transcriptions", "unfollow-peer delete /v1/follows/{ref}", "verify-videos post /v1/verifications",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("operations\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// One operation is not Node's: health.
	if nodes := reflect.TypeFor[api.Node]().NumMethod(); len(got) != nodes+1 {
		t.Errorf("%d operations for %d methods of Node", len(got), nodes)
	}
	checkRefs(t, text, doc.Components.Schemas)
	for _, name := range []string{"Problem", "Progress", "FetchRequest", "Info"} {
		if doc.Components.Schemas[name] == nil {
			t.Errorf("no schema %s", name)
		}
	}
}

func getDocument(t *testing.T, node api.Node) []byte {
	t.Helper()
	resp, err := plainClient(serve(t, api.Handler(node, api.HandlerConfig{Version: "9.9"}))).Get("http://x/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", resp.Status, err)
	}
	return text
}

// checkRefs checks that every reference leads to a schema and every schema is
// referred to.
func checkRefs(t *testing.T, text []byte, schemas map[string]any) {
	t.Helper()
	used := map[string]bool{}
	for _, part := range strings.Split(string(text), `"$ref":"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		used[name] = true
		if schemas[name] == nil {
			t.Errorf("reference to schema %s, which is not there", name)
		}
	}
	for name := range schemas {
		if !used[name] {
			t.Errorf("schema %s is not used", name)
		}
	}
	if len(used) == 0 {
		t.Error("no references")
	}
}
