package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// videoList is the answer to a request for the catalogue. Neither side holds it
// whole: its videos are written and read one by one.
type videoList struct {
	Videos []Video `json:"videos"`
}

const contentJSON = "application/json"

// Collect is all that a sequence yields, up to its error.
func Collect[T any](all iter.Seq2[T, error]) ([]T, error) {
	var found []T
	for v, err := range all {
		if err != nil {
			return found, err
		}
		found = append(found, v)
	}
	return found, nil
}

// registerVideoList registers the operation that lists the catalogue. What is
// sent is a videoList, as it is read.
func registerVideoList(a huma.API, n Node) {
	op := complete(a, huma.Operation{OperationID: "list-videos", Path: "/v1/videos", Tags: []string{"videos"}, Summary: "List the catalogue"})
	op.Responses["200"] = &huma.Response{
		Description: "OK. It is sent as it is read. An error after the beginning is told in the trailer " + trailerError +
			" to clients that send TE: trailers; for others the connection is cut.",
		Content: map[string]*huma.MediaType{contentJSON: {
			Schema: a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[videoList](), true, "VideoList"),
		}},
	}
	huma.Register(a, op, func(context.Context, *nothing) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			r, w := humago.Unwrap(hc)
			serveBytes(w, r, contentJSON, func(out io.Writer) error { return writeVideos(out, n.Videos(r.Context())) })
		}}, nil
	})
}

// writeVideos writes a videoList, one video a line.
func writeVideos(out io.Writer, videos iter.Seq2[Video, error]) error {
	w := bufio.NewWriterSize(out, readBuffer)
	enc := json.NewEncoder(w)
	w.WriteString(`{"videos":[`) // a bufio.Writer keeps its first error
	first := true
	for v, err := range videos {
		if err != nil {
			return err
		}
		if !first {
			w.WriteByte(',')
		}
		first = false
		if err := enc.Encode(v); err != nil {
			return err
		}
	}
	w.WriteString("]}\n")
	return w.Flush()
}

// Videos yields the catalogue as the daemon reads it.
func (c *Client) Videos(ctx context.Context) iter.Seq2[Video, error] {
	return func(yield func(Video, error) bool) {
		resp, err := c.do(ctx, http.MethodGet, "/v1/videos", nil)
		if err != nil {
			yield(Video{}, err)
			return
		}
		defer resp.Body.Close()
		err = readVideos(resp.Body, func(v Video) bool { return yield(v, nil) })
		if err != nil && !errors.Is(err, errStopped) {
			yield(Video{}, c.listError(ctx, resp, err))
		}
	}
}

// listError is the error for a list that could not be read to its end.
func (c *Client) listError(ctx context.Context, resp *http.Response, err error) error {
	if told := parseTrailer(resp.Trailer.Get(trailerError)); told != nil {
		return told
	}
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, kind := errors.AsType[*json.UnmarshalTypeError](err)
	if syntax || kind || errors.Is(err, errNoList) {
		return c.unreadable(err)
	}
	return c.cutOff(ctx, err)
}

var (
	errStopped = errors.New("stopped by the consumer")
	errNoList  = errors.New("not a list of videos")
)

// readVideos reads a videoList. Fields beside the list are passed over. It
// returns errStopped if yield returns false.
func readVideos(r io.Reader, yield func(Video) bool) error {
	limited := &limitedReader{r: r, left: maxAnswer}
	dec := json.NewDecoder(limited)
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		switch {
		case err != nil:
			return err
		case name == "videos":
			err = readList(dec, limited, yield)
		default:
			err = dec.Decode(new(json.RawMessage))
		}
		if err != nil {
			return err
		}
	}
	return expect(dec, json.Delim('}'))
}

func readList(dec *json.Decoder, limited *limitedReader, yield func(Video) bool) error {
	if err := expect(dec, json.Delim('[')); err != nil {
		return err
	}
	for dec.More() {
		limited.left = maxAnswer
		var v Video
		if err := dec.Decode(&v); err != nil {
			return err
		}
		if !yield(v) {
			return errStopped
		}
	}
	return expect(dec, json.Delim(']'))
}

func expect(dec *json.Decoder, want json.Token) error {
	got, err := dec.Token()
	if err == nil && got != want {
		err = errNoList
	}
	return err
}

// limitedReader reads up to a limit that is set anew for each value.
type limitedReader struct {
	r    io.Reader
	left int
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLong
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
