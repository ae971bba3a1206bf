package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Many short files that come at once are added together, each as if alone.
func TestWatchedFilesTogether(t *testing.T) {
	t.Parallel() // it mostly waits
	const files = 200
	var log logText
	n, dir := startNode(t, nodeWithAPI(&log)), t.TempDir()
	for i := range files {
		writeFile(t, filepath.Join(dir, fmt.Sprintf("%03d.mp4", i)), fmt.Sprintf("video %d", i%(files-10)))
	}
	long := filepath.Join(dir, "long.mp4")
	if err := os.WriteFile(long, make([]byte, 5<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	n.watch(t, dir)
	n.idle(t, dir, files+1)
	if got := len(n.files(t)); got != files-10+1 {
		t.Errorf("%d videos, want %d", got, files-10+1)
	}
	if w := n.watched(t, dir); len(w.Failed) > 0 || w.Last == nil {
		t.Errorf("the folder is %+v", w)
	}
	if got := log.count("msg=added"); got != files+1 {
		t.Errorf("%d files were logged as added", got)
	}
	moved := filepath.Join(dir, "moved.mp4")
	rename(t, filepath.Join(dir, "000.mp4"), moved)
	comesTrue(t, func() string {
		if log.count("file was renamed") != 1 {
			return "the new name is not noted"
		}
		return ""
	})
}
