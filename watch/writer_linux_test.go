package watch_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vidsync/vidsync/watch"
)

// A file whose writer pauses for longer than Settle is not finished.
func TestOpenForWritingIsNotFinished(t *testing.T) {
	bubble(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "a.mp4")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		s := begin(t, watch.Config{Dir: dir}, newLedger(), passOnly)
		time.Sleep(time.Hour)
		equalLines(t, s.lines())
		if _, err := f.Write(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		equalLines(t, s.lines())
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		equalLines(t, s.lines(), "finished a.mp4 20")
	})
}
