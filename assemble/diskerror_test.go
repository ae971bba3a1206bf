package assemble_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/vidsync/vidsync/assemble"
)

// wantTrouble checks that err tells a person what is wrong with which folder.
func wantTrouble(t *testing.T, err error, path, problem string) {
	t.Helper()
	d, ok := errors.AsType[*assemble.DiskError](err)
	if !ok {
		t.Fatalf("got %v, want a DiskError", err)
	}
	if d.Path != path || d.Problem != problem || !strings.Contains(err.Error(), d.Remedy) || d.Remedy == "" {
		t.Fatalf("got %q of %s, want %q of %s: %v", d.Problem, d.Path, problem, path, err)
	}
	t.Log(err)
}

// What a person reads of a disk in trouble.
func TestDiskErrorText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code syscall.Errno
		want string
	}{
		{syscall.EROFS, "/v: the file system is read-only; make it writable or choose another folder: write /v/a.part: read-only file system"},
		{syscall.EIO, "/v: the disk reports an error; check the disk and its connection, or choose another folder: write /v/a.part: input/output error"},
		{syscall.EACCES, "/v: writing here is not allowed; change the owner or the mode, or choose another folder: write /v/a.part: permission denied"},
		{syscall.EMFILE, "/v: too many files are open; raise the limit of open files (ulimit -n): write /v/a.part: too many open files"},
		{syscall.ENOENT, "/v: the folder, or the part file in it, is gone; bring it or its disk back; the fetch goes on with what is left: write /v/a.part: no such file or directory"},
		{syscall.EINVAL, "write /v/a.part: invalid argument"},
	}
	for _, tt := range tests {
		err := error(&os.PathError{Op: "write", Path: "/v/a.part", Err: tt.code})
		got := assemble.Explain(fmt.Errorf("%w", err), "/v")
		if got.Error() != tt.want || !errors.Is(got, tt.code) {
			t.Errorf("%v: got %q, want %q", tt.code, got, tt.want)
		}
		if again := assemble.Explain(got, "/w"); again.Error() != tt.want {
			t.Errorf("%v explained twice: %q", tt.code, again)
		}
	}
	if err := assemble.Explain(fs.ErrNotExist, "/v"); err != fs.ErrNotExist {
		t.Errorf("what is not of a disk is explained: %v", err)
	}
	if err := assemble.Explain(nil, "/v"); err != nil {
		t.Errorf("nothing is explained: %v", err)
	}
}
