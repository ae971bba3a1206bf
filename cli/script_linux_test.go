package cli_test

import (
	"os"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

func init() { scriptCommands["small-disk"] = cmdSmallDisk }

// cmdSmallDisk mounts a file system of few bytes for the length of the script.
func cmdSmallDisk(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "small-disk DIR BYTES")
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+args[1]))
	ts.Defer(func() { ts.Check(syscall.Unmount(dir, syscall.MNT_DETACH)) })
}
