package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vidsync/vidsync/api"
)

// lister has as many videos as it is asked for, and then an error.
type lister struct {
	fakeNode
	videos int
	err    error
	begun  chan int // gets the number of each video before it is given out; nil: nobody asks
}

func (n *lister) Videos(ctx context.Context) iter.Seq2[api.Video, error] {
	return func(yield func(api.Video, error) bool) {
		for i := range n.videos {
			if n.begun != nil {
				select {
				case n.begun <- i:
				case <-ctx.Done():
					return
				}
			}
			if !yield(api.Video{CID: fmt.Sprint(i), Name: strings.Repeat("x", 100), State: "whole"}, nil) {
				return
			}
		}
		if n.err != nil {
			yield(api.Video{}, n.err)
		}
	}
}

func TestVideosStream(t *testing.T) {
	node := &lister{videos: 5000, begun: make(chan int)}
	client := connect(t, node, api.HandlerConfig{})
	taken, ahead := 0, 0
	next, stop := iter.Pull2(client.Videos(t.Context()))
	defer stop()
	come := make(chan error)
	for taken < 100 { // what is taken comes long before the last is begun
		go func() {
			_, err, _ := next()
			come <- err
		}()
		for waiting := true; waiting; {
			select {
			case ahead = <-node.begun:
			case err := <-come:
				if err != nil {
					t.Fatal(err)
				}
				waiting = false
			}
		}
		taken++
	}
	if ahead > 4000 {
		t.Errorf("%d videos were read before %d were taken", ahead, taken)
	}
}

func TestVideosMany(t *testing.T) {
	client := connect(t, &lister{videos: 5000}, api.HandlerConfig{})
	n := 0
	for v, err := range client.Videos(t.Context()) {
		if err != nil || v.CID != fmt.Sprint(n) {
			t.Fatalf("video %d is %+v, %v", n, v, err)
		}
		n++
	}
	if n != 5000 {
		t.Errorf("%d videos", n)
	}
}

func TestVideosError(t *testing.T) {
	for _, before := range []int{0, 1, 5000} {
		want := api.Errorf(api.CodeCorrupt, "the index is damaged")
		client := connect(t, &lister{videos: before, err: want}, api.HandlerConfig{})
		all, err := api.Collect(client.Videos(t.Context()))
		if got, ok := errors.AsType[*api.Error](err); !ok || *got != *want || len(all) > before {
			t.Errorf("after %d videos: %d came, and %v", before, len(all), err)
		}
	}
}

// Clients that read the answer as one value get one.
func TestVideosAnswer(t *testing.T) {
	for _, videos := range []int{0, 1, 3} {
		w := httptest.NewRecorder()
		api.Handler(&lister{videos: videos}, api.HandlerConfig{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/videos", nil))
		var list struct {
			Videos []api.Video `json:"videos"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || list.Videos == nil || len(list.Videos) != videos {
			t.Errorf("%s: %d videos, %v", w.Body, len(list.Videos), err)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("content type %q", got)
		}
	}
}

// What older and later daemons answer is read, and what is no list is refused.
func TestVideosAnswers(t *testing.T) {
	for answer, want := range map[string]string{
		`{"videos":[{"cid":"a"},{"cid":"b"}]}`:              "ab",
		`{"of":{"a":[1]},"videos":[{"cid":"a"}],"total":1}`: "a",
		`{"videos":[]}`:                     "",
		`{}`:                                "",
		`[]`:                                "!",
		`{"videos":7}`:                      "!",
		`{"videos":[7]}`:                    "!",
		`{"videos":[{"cid":"a"},{"cid":"b"`: "a!",
		`{"videos":[{"cid":"a"}`:            "a!",
		"":                                  "!",
		`{"videos":[{"cid":"` + strings.Repeat("a", 100000): "!",
	} {
		got := ""
		for v, err := range api.ReadVideos(strings.NewReader(answer)) {
			if err != nil {
				got += "!"
				break
			}
			got += v.CID
		}
		if got != want {
			t.Errorf("%.60s: %.60s, want %s", answer, got, want)
		}
	}
}

// No video is longer than an answer may be, however long all of them are.
func TestVideosTooLong(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`{"videos":[{"cid":"`), endlessText{})
	for _, err := range api.ReadVideos(endless) {
		if err == nil {
			t.Error("a video without an end was read")
		}
		return
	}
	t.Error("no error")
}

// endlessText is one letter after another.
type endlessText struct{}

func (endlessText) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}
