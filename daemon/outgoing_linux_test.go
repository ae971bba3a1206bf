package daemon_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/vidsync/vidsync/daemon"
)

// What happens to a file while it is aside ends its removal, and nothing is lost.
func TestFileIsKept(t *testing.T) {
	data := "what was recorded"
	tests := map[string]struct {
		meanwhile func(path, hidden string) error
		at        string // where the data is afterwards
	}{
		"somebody wants to write": {func(_, hidden string) error {
			fd, err := syscall.Open(hidden, syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
			if err == nil {
				return errors.Join(errors.New("opened for writing at once"), syscall.Close(fd))
			}
			return nil
		}, "a.mp4"},
		"touched": {func(_, hidden string) error {
			return os.Chtimes(hidden, time.Time{}, time.Unix(1e9, 0))
		}, "a.mp4"},
		"name is taken": {func(path, hidden string) error {
			return errors.Join(os.WriteFile(path, []byte("another recording"), 0o644), os.Chmod(hidden, 0o600))
		}, "a (2).mp4"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			home, dir := t.TempDir(), t.TempDir()
			path := writeFile(t, filepath.Join(dir, "a.mp4"), data)
			n := openOnly(t, home)
			added := (&testNode{Node: n, home: home}).add(t, path)
			err := daemon.PutAsideAndBack(n, path, func(hidden string) error { return test.meanwhile(path, hidden) })
			if err != nil {
				t.Error(err)
			}
			sameFile(t, filepath.Join(dir, test.at), []byte(data))
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
			n = openOnly(t, home)
			sameFile(t, filepath.Join(dir, test.at), []byte(data))
			if v, err := n.Info(t.Context(), added.CID); err != nil || v.State == "removed" {
				t.Errorf("the video is %s, %v", v.State, err)
			}
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
