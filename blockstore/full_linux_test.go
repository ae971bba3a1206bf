package blockstore_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vidsync/vidsync/blockstore"
)

// A full disk does not kill the process that closes the index, and the index is
// whole once there is room.
func TestCloseWhenFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=160m"); err != nil {
		t.Skipf("mounting is not possible here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullDir+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	said, err := cmd.Output()
	if err != nil || !strings.Contains(string(said), "closed ") {
		t.Fatalf("process that closed the index: %v, said %q: %.2000s", err, said, &stderr)
	}
	if s, err := blockstore.Open(filepath.Join(dir, "index"), blockstore.Config{}); err == nil {
		t.Fatal("opened on a full disk", s.Close())
	}
	if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(dir, "index"))
	checkWhole(t, s)
	if got, _ := names(t, s, 0); len(got) != 1 || got[0] != "a" {
		t.Errorf("videos are %q", got)
	}
}
