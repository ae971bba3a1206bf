package daemon_test

import (
	"os"
	"sync"
	"testing"

	"github.com/vidsync/vidsync/api"
)

// A file that changes while it is added is refused, and nothing of it is kept.
func TestFileThatChangesWhileItIsAdded(t *testing.T) {
	n := startNode(t)
	path, _ := randomFile(t, "talk.mp4", oddSize, 70)
	var once sync.Once
	change := func() {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString("more")
		}
		if err != nil {
			t.Error(err)
		}
		f.Close()
	}
	changed := false
	res, err := n.Add(t.Context(), api.AddRequest{Paths: []string{path}}, func(api.Progress) { once.Do(func() { changed = true; change() }) })
	if !changed {
		t.Skip("it was too quick to be changed meanwhile")
	}
	if err == nil && len(res.Added) != 0 {
		t.Errorf("added %+v", res)
	}
	if videos, err := api.Collect(n.Videos(t.Context())); err != nil || len(videos) != 0 {
		t.Errorf("videos %+v, %v", videos, err)
	}
}
