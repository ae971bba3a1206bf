package api

import (
	"context"
	"io"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// body is a request or response that is one JSON value.
type body[T any] struct{ Body T }

// nothing is a request without parameters.
type nothing struct{}

// answer registers an operation whose answer is one JSON value.
func answer[I, O any](a huma.API, op huma.Operation, call func(context.Context, *I) (O, error)) {
	huma.Register(a, complete(a, op), func(ctx context.Context, in *I) (*body[O], error) {
		out, err := call(ctx, in)
		if err != nil {
			return nil, newProblem(err)
		}
		return &body[O]{Body: out}, nil
	})
}

// stream registers an operation whose answer is a stream of events: E under
// name, then R as result.
func stream[I, E, R any](a huma.API, cfg HandlerConfig, name string, op huma.Operation, call func(context.Context, *I, func(E)) (R, error)) {
	op = complete(a, op)
	op.Responses["200"] = eventResponse[E, R](a.OpenAPI().Components.Schemas, name)
	huma.Register(a, op, func(_ context.Context, in *I) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			r, w := humago.Unwrap(hc)
			serveEvents(w, r, cfg, name, func(ctx context.Context, emit func(E)) (R, error) {
				return call(ctx, in, emit)
			})
		}}, nil
	})
}

// bytesOut registers an operation whose answer is bytes of one of the content
// types; typeOf picks the one.
func bytesOut[I any](a huma.API, op huma.Operation, types []string, typeOf func(*I) string, call func(context.Context, *I, io.Writer) error) {
	op = complete(a, op)
	op.Responses["200"] = bytesResponse(types)
	huma.Register(a, op, func(_ context.Context, in *I) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			r, w := humago.Unwrap(hc)
			serveBytes(w, r, typeOf(in), func(out io.Writer) error { return call(r.Context(), in, out) })
		}}, nil
	})
}

// complete adds what all operations share: limits and the form of errors.
func complete(a huma.API, op huma.Operation) huma.Operation {
	if op.Method == "" {
		op.Method = http.MethodGet
	}
	op.MaxBodyBytes = maxRequest + 1 // bounded has read the body and checked it
	op.BodyReadTimeout = -1          // huma's would end the request's context while it runs
	op.Responses = map[string]*huma.Response{"default": {
		Description: "It failed",
		Content: map[string]*huma.MediaType{"application/problem+json": {
			Schema: a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problem](), true, "Problem"),
		}},
	}}
	return op
}

// eventResponse describes a stream of events. OpenAPI 3.1 has no word for one,
// so it is an array of what may come.
func eventResponse[E, R any](reg huma.Registry, name string) *huma.Response {
	kinds := []*huma.Schema{
		eventSchema(reg, name, reflect.TypeFor[E]()),
		eventSchema(reg, eventResult, reflect.TypeFor[R]()),
		eventSchema(reg, eventError, reflect.TypeFor[Error]()),
	}
	return &huma.Response{
		Description: "Server-sent events: any number of " + name + ", then exactly one result or error. " +
			"A connection that ends without one of these two was cut.",
		Content: map[string]*huma.MediaType{"text/event-stream": {
			Schema: &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{OneOf: kinds}},
		}},
	}
}

func eventSchema(reg huma.Registry, name string, data reflect.Type) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject,
		Properties: map[string]*huma.Schema{
			"event": {Type: huma.TypeString, Enum: []any{name}},
			"data":  reg.Schema(data, true, data.Name()),
		},
		Required: []string{"event", "data"},
	}
}

func bytesResponse(types []string) *huma.Response {
	content := make(map[string]*huma.MediaType, len(types))
	for _, t := range types {
		content[t] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	}
	return &huma.Response{
		Description: "The bytes. An error after the first byte is told in the trailer " + trailerError +
			" to clients that send TE: trailers; for others the connection is cut.",
		Content: content,
	}
}
