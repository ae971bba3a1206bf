package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	// maxRequest is the largest request body, in bytes. A shell can name
	// about 2 MiB of paths at once; JSON may make them longer.
	maxRequest = 4 << 20
	// requestTimeout is how long a client may take to send its body.
	requestTimeout = 30 * time.Second
	// maxRequests is how many requests are served at once. Streams count for
	// as long as they last.
	maxRequests = 256
	// defaultHeartbeat is how long a stream of events is silent at most.
	defaultHeartbeat = 5 * time.Second
)

// HandlerConfig sets a handler up. The zero value works.
type HandlerConfig struct {
	// Version is the daemon's version, told in /v1/health and /openapi.json.
	// Empty: "unknown".
	Version string
	// Heartbeat is how long a stream of events may be silent before a comment
	// is sent, so that both ends notice a dead connection. 0: 5 s.
	Heartbeat time.Duration
	// Metrics answers GET /metrics. nil: there are none.
	Metrics http.Handler
}

func (c HandlerConfig) withDefaults() HandlerConfig {
	if c.Version == "" {
		c.Version = "unknown"
	}
	if c.Heartbeat <= 0 {
		c.Heartbeat = defaultHeartbeat
	}
	return c
}

// Handler serves node as REST/JSON under /v1, described by /openapi.json.
//
// Long operations answer with server-sent events: any number of progress, then
// exactly one result or error. Their context ends when the client goes away;
// what then becomes of the work is the node's decision. Other errors are
// problem details (RFC 9457) with the vidsync code added. Request bodies are
// limited to 4 MiB.
//
// Handler does not ask who calls: Listen's socket lets only its owner in, and
// TokenHandler guards a TCP port.
func Handler(node Node, cfg HandlerConfig) http.Handler {
	cfg = cfg.withDefaults()
	mux := http.NewServeMux()
	a := humago.New(mux, humaConfig(cfg))
	register(a, node, cfg)
	// huma documents its own error type; ours is what is sent.
	delete(a.OpenAPI().Components.Schemas.Map(), "ErrorModel")
	delete(a.OpenAPI().Components.Schemas.Map(), "ErrorDetail")
	mux.HandleFunc("GET /openapi.json", serveDocument(a.OpenAPI()))
	if cfg.Metrics != nil {
		mux.Handle("GET /metrics", cfg.Metrics)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		statusProblem(http.StatusNotFound, Errorf(CodeUsage,
			"this daemon (version %s) has no operation %s %q; GET /openapi.json lists them", cfg.Version, r.Method, r.URL.Path)).write(w)
	})
	return bounded(mux)
}

// humaConfig is huma without what needs a CDN (its documentation page) or
// changes bodies ($schema links), and with our own errors.
func humaConfig(cfg HandlerConfig) huma.Config {
	c := huma.DefaultConfig("vidsync local API", cfg.Version)
	c.Info.Description = "Everything a vidsync node does for its user. Sizes and rates are in bytes; " +
		"durations in requests are integer nanoseconds; times are RFC 3339."
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil
	c.RejectUnknownQueryParameters = true
	c.Transformers = []huma.Transformer{asProblem}
	return c
}

// serveDocument serves the OpenAPI document, encoded once.
func serveDocument(doc *huma.OpenAPI) http.HandlerFunc {
	text, err := json.Marshal(doc)
	if err != nil {
		panic("api: internal error: OpenAPI document does not encode: " + err.Error())
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Write(text) // the client may be gone: nobody left to tell
	}
}

// bounded serves a limited number of requests at once. It reads each one's
// body, within its limit and time, before next sees the request. The deadline must be gone by then: one that passes later
// ends the request's context. HEAD is refused, as it would run the operation
// of its GET for nothing.
func bounded(next http.Handler) http.Handler {
	slots := make(chan struct{}, maxRequests)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			newProblem(Errorf(CodeUnavailable, "the daemon serves %d requests already; run the command again later", maxRequests)).write(w)
			return
		}
		if r.Method == http.MethodHead {
			statusProblem(http.StatusMethodNotAllowed, Errorf(CodeUsage, "HEAD is not served; use GET")).write(w)
			return
		}
		conn := http.NewResponseController(w)
		_ = conn.SetReadDeadline(time.Now().Add(requestTimeout)) // not every ResponseWriter has deadlines
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		_ = conn.SetReadDeadline(time.Time{})
		if err != nil {
			bodyProblem(err).write(w)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func bodyProblem(err error) *problem {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return statusProblem(http.StatusRequestEntityTooLarge,
			Errorf(CodeUsage, "the request is over its limit of %d bytes; split it up", maxRequest))
	}
	return statusProblem(http.StatusBadRequest, Errorf(CodeUsage, "read request: %w", err))
}
