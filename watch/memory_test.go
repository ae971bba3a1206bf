package watch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/vidsync/vidsync/watch"
)

// everything is known under every path, or nothing.
type everything bool

func (e everything) Seen(path string, _ watch.Identity) (string, bool, error) {
	return path, bool(e), nil
}

// What is kept of a file is bounded: 200 bytes and its name.
// VIDSYNC_TEST_FILES sets how many files are made, 2,000 without it.
func TestMemory(t *testing.T) {
	count := 2000
	if n, err := strconv.Atoi(os.Getenv("VIDSYNC_TEST_FILES")); err == nil {
		count = n
	}
	dir := t.TempDir()
	for i := range count {
		d := filepath.Join(dir, fmt.Sprintf("day-%03d", i/500))
		if i%500 == 0 {
			mkdir(t, d)
		}
		write(t, filepath.Join(d, fmt.Sprintf("camera-1_2024-05-06_%07d.mp4", i)), 1)
	}
	for _, known := range []bool{true, false} {
		f, err := watch.New(watch.Config{Dir: dir}, everything(known))
		if err != nil {
			t.Fatal(err)
		}
		bytes, files := watch.KeptBytes(f)
		t.Logf("known %v: %d files, %d bytes a file", known, files, bytes/uint64(files))
		if files != count || bytes > uint64(count)*(200+40) {
			t.Errorf("known %v: %d files of %d take %d bytes each", known, files, count, bytes/uint64(files))
		}
	}
}
