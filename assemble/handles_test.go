package assemble_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
)

// A process without free file handles fails where it needs one and goes on
// where it failed.
func TestFileHandlesExhausted(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+t.TempDir(), killEnv+"=handles")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	check(t, err)
}

// handlesChild fetches with and without file handles.
func handlesChild(dir string) error {
	store, err := blockstore.Open(filepath.Join(dir, "index"), blockstore.Config{})
	if err != nil {
		return err
	}
	s, target := tiny(), assemble.Target{Dir: filepath.Join(dir, "out"), Name: "a"}
	var f *assemble.File
	open := func() error {
		f, err = assemble.Open(context.Background(), store, s.m, target, assemble.Config{})
		return err
	}
	end := func() error { _, err := f.Finish(context.Background(), blockstore.Video{}); return err }
	if err := errors.Join(exhausted(target.Dir, open), open(), s.putAll(f)); err != nil {
		return err
	}
	if err := errors.Join(exhausted(target.Dir, end), end()); err != nil {
		return err
	}
	got, err := os.ReadFile(filepath.Join(target.Dir, "a"))
	if string(got) != string(s.data) {
		return errors.Join(err, errors.New("the file is not the video"))
	}
	return errors.Join(f.Close(), store.Close())
}

// exhausted runs do without a free file handle, and returns an error unless
// that fails as it should.
func exhausted(dir string, do func() error) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}); err != nil {
		return err
	}
	err := do()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	d, ok := errors.AsType[*assemble.DiskError](err)
	if !ok || d.Path != dir || d.Problem != "too many files are open" || !errors.Is(err, unix.EMFILE) {
		return fmt.Errorf("without file handles: %w", err)
	}
	fmt.Println(err)
	return nil
}
