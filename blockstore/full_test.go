package blockstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/vidsync/vidsync/blockstore"
)

// fullDir names, in the environment, the folder of a small file system that this
// binary is to fill while it has an index open there.
const fullDir = "BLOCKSTORE_TEST_FULL"

// closeFull adds a video, fills the disk with dir/ballast and closes the index.
func closeFull(dir string) {
	s, err := blockstore.Open(filepath.Join(dir, "index"), blockstore.Config{})
	must(err)
	m := victimImport(s, dir, "a")
	f, err := os.Create(filepath.Join(dir, "ballast"))
	must(err)
	for n := 1 << 20; n > 0; {
		_, err := f.Write(make([]byte, n))
		if errors.Is(err, syscall.ENOSPC) {
			n /= 2
			continue
		}
		must(err)
	}
	must(f.Close())
	must(s.Close())
	say("closed", m.CID())
}
