package blockstore

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
)

// ErrDamaged is returned by Open for an index whose files are not as this
// package wrote them. They are left as they are.
var ErrDamaged = errors.New("index is damaged; make it again with: vidsync doctor --rebuild")

// maxCheckedBytes is how much of its tables Open reads to find damage: those of
// half a million blocks. Of what is beyond, the oldest, it reads the ends.
const maxCheckedBytes = 64 << 20

func damaged(err error) error { return fmt.Errorf("%w: %w", ErrDamaged, err) }

// SetAside renames the folder of an index that nobody has open, so that a new
// one can be made in its place, and returns where it is now: beside, with the
// date in its name. Without such a folder the error wraps fs.ErrNotExist, and
// ErrInUse while the index is open.
func SetAside(dir string, now time.Time) (moved string, err error) {
	unlock, err := lock(dir)
	if err != nil {
		return "", fmt.Errorf("set index aside: %w", err)
	}
	defer unlock()
	dir = filepath.Clean(dir)
	name := dir + ".damaged-" + now.UTC().Format("20060102-150405")
	moved = name
	for n := 2; exists(moved); n++ {
		moved = fmt.Sprintf("%s-%d", name, n)
	}
	if err := os.Rename(dir, moved); err != nil {
		return "", fmt.Errorf("set index aside: %w", err)
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return moved, fmt.Errorf("set index aside: %w", err)
	}
	return moved, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// lock takes the lock on a folder that Badger takes; ErrInUse if it is held.
func lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, ErrInUse), d.Close())
	}
	return func() { d.Close() }, nil // a folder: nothing to lose
}

// prepare looks at the files of an index before Badger does, which ends the
// process, or opens without what it had there, for some kinds of damage. Where
// another process has the index, Badger will say so.
func prepare(dir string, opts badger.Options) error {
	unlock, err := lock(dir)
	if errors.Is(err, ErrInUse) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	if err := checkClosed(dir); err != nil {
		return err
	}
	if err := dropUnborn(dir); err != nil {
		return err
	}
	if err := checkRegistry(filepath.Join(dir, badger.KeyRegistryFileName)); err != nil {
		return err
	}
	if err := checkLogs(dir); err != nil {
		return err
	}
	return checkTables(dir, opts)
}

// registryText ends Badger's list of keys when there is none, behind 16 bytes
// that may be anything: this index is not encrypted.
const registryText = "Hello Badger"

// checkRegistry checks Badger's list of keys, which it makes if it is missing.
func checkRegistry(path string) error {
	data, err := readShort(path, 16+int64(len(registryText))+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(data) != 16+len(registryText) || string(data[16:]) != registryText {
		return damaged(fmt.Errorf("%s is not as it was made", filepath.Base(path)))
	}
	return nil
}

// checkLogs checks how Badger's logs begin: with the number of the key they are
// encrypted with, which is none.
func checkLogs(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".mem" && ext != ".vlog" {
			continue
		}
		head, err := readShort(filepath.Join(dir, e.Name()), 8)
		if err != nil {
			return err
		}
		if len(bytes.Trim(head, "\x00")) > 0 {
			return damaged(fmt.Errorf("%s does not begin as a log", e.Name()))
		}
	}
	return nil
}

// readShort reads a file, but not more than limit bytes of it.
func readShort(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: nothing to lose
	return io.ReadAll(io.LimitReader(f, limit))
}

// checkTables checks the tables that the manifest of Badger lists.
func checkTables(dir string, opts badger.Options) error {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return checkBlank(dir)
	}
	if err != nil {
		return err
	}
	defer f.Close() // read only: nothing to lose
	m, _, err := badger.ReplayManifestFile(f, opts.ExternalMagicVersion, opts)
	if err != nil && strings.Contains(err.Error(), unsupportedVersion) {
		return fmt.Errorf("%w: %w", ErrNewer, err)
	}
	if err != nil {
		return damaged(fmt.Errorf("%s: %w", badger.ManifestFilename, err))
	}
	budget := int64(maxCheckedBytes)
	newestFirst := slices.SortedFunc(maps.Keys(m.Tables), func(a, b uint64) int { return cmp.Compare(b, a) })
	for _, id := range newestFirst {
		plain := m.Tables[id].Compression == options.None
		size, err := checkTable(table.NewFilename(id, dir), plain, budget)
		if err != nil {
			return err
		}
		budget -= size
	}
	return nil
}

// checkBlank checks that a folder without a manifest has no index. Badger would
// begin a new one and delete all tables.
func checkBlank(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == formatFile || filepath.Ext(e.Name()) == ".sst" {
			return damaged(fmt.Errorf("%s is missing", badger.ManifestFilename))
		}
	}
	return nil
}

// openGuarded is badger.Open that returns an error where that panics.
func openGuarded(opts badger.Options) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, damaged(fmt.Errorf("badger: %v", r))
		}
	}()
	return badger.Open(opts)
}
