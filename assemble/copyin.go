package assemble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// CopyConfig tunes CopyIn. The zero value is ready for use.
type CopyConfig struct {
	// Entry, if set, makes the catalogue's entry of the video that the bytes
	// turn out to be. What follows from the manifest is filled in, and so is an
	// empty name.
	Entry func(m *manifest.Manifest) blockstore.Video
	// Progress, if set, is called from several goroutines: n more bytes are
	// copied and hashed.
	Progress func(n int64)

	disk  disk      // nil is the system's; tests set another
	index copyIndex // nil is the store; tests set another
}

func (c CopyConfig) withDefaults(store *blockstore.Store) CopyConfig {
	if c.Entry == nil {
		c.Entry = func(*manifest.Manifest) blockstore.Video { return blockstore.Video{} }
	}
	if c.disk == nil {
		c.disk = systemDisk{}
	}
	if c.index == nil {
		c.index = storeIndex{store}
	}
	return c
}

// copying is one run of CopyIn.
type copying struct {
	cfg   CopyConfig
	store *blockstore.Store // read here; written through cfg.index and im
	disk  disk
	dir   string // absolute
	in    *os.File
	info  fs.FileInfo // of in, from before the first byte was read
	out   *os.File    // hidden until it is published, and locked
	im    *blockstore.Import
}

// CopyIn puts a copy of the file src into the folder dir, which it makes if it
// is missing, records it in the index, and returns the copy's path and its
// catalogue entry. The copy's name is that of src, with a number if that one is
// taken. It has a hidden name until the index can take it up: a process that is
// killed leaves what Sweep and SweepNoted remove. Each byte is read once, hashed
// and written; where the file system can do that the copy shares the disk space
// of src. If the index has the video in another file of dir that vidsync made,
// that one stays the only one. A file that changes meanwhile is refused:
// blockstore.ErrChanged. Trouble with the disk is ErrNoSpace or a DiskError.
func CopyIn(ctx context.Context, store *blockstore.Store, src, dir string, cfg CopyConfig) (path string, v blockstore.Video, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", v, err
	}
	in, err := os.Open(src)
	if err != nil {
		return "", v, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return "", v, err
	}
	if !info.Mode().IsRegular() {
		return "", v, fmt.Errorf("%s is not a regular file", src)
	}
	cfg = cfg.withDefaults(store)
	c := &copying{cfg: cfg, store: store, disk: cfg.disk, dir: dir, in: in, info: info}
	path, v, err = c.run(ctx)
	if err != nil {
		return "", v, fmt.Errorf("copy %s into %s: %w", src, dir, explain(err, dir))
	}
	return path, v, nil
}

func (c *copying) run(ctx context.Context) (path string, v blockstore.Video, err error) {
	if err := makeFolder(c.disk, c.dir); err != nil {
		return "", v, err
	}
	if err := c.create(); err != nil {
		return "", v, err
	}
	defer func() { err = errors.Join(err, c.end()) }()
	c.im = c.store.Import()
	defer c.im.Discard()
	m, err := c.fill(ctx)
	if err == nil {
		err = unchanged(c.in, blockstore.StampOf(c.info))
	}
	if err != nil {
		return "", v, err
	}
	v = c.entry(m)
	path, err = c.present(m)
	if err != nil {
		return "", v, err
	}
	if path != "" {
		return path, v, c.store.PutVideo(v)
	}
	path, err = c.publish(m, v)
	return path, v, err
}

// entry is the catalogue's entry of the video m.
func (c *copying) entry(m *manifest.Manifest) blockstore.Video {
	v := c.cfg.Entry(m)
	if v.Name == "" {
		v.Name = filepath.Base(c.in.Name())
	}
	v.CID, v.Size, v.Blocks = m.CID(), m.Size(), m.NumBlocks()
	return v
}

// create makes the file that the copy is written to, and locks it.
func (c *copying) create() error {
	for range maxNumber {
		path := filepath.Join(c.dir, copyName(filepath.Base(c.in.Name())))
		out, err := c.disk.Create(path)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if lockNew(out) != nil { // a Sweep came between
			_ = out.Close()
			continue
		}
		c.out = out
		return nil
	}
	return fmt.Errorf("%s: no name for the copy: %w", c.dir, ErrExists)
}

// end removes the copy if it still has its hidden name, and lets go of it.
func (c *copying) end() error {
	err := c.disk.Remove(c.out.Name())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, closeLocked(c.out))
}

// fill makes the copy whole and durable, and gives its blocks to the import.
func (c *copying) fill(ctx context.Context) (*manifest.Manifest, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := c.out.Chmod(c.info.Mode().Perm()); err != nil {
		return nil, err
	}
	size := c.info.Size()
	if size > 0 && c.disk.Share(c.out, 0, c.in, 0, 0) == nil { // 0 bytes: to the end
		return c.hashSynced(ctx, c.out, c.out)
	}
	if err := checkSpace(c.disk, c.dir, size, 0); err != nil {
		return nil, err
	}
	if err := c.disk.Truncate(c.out, size); err != nil {
		return nil, err
	}
	m, err := c.hashSynced(ctx, c, c.in)
	return m, spaceError(c.disk, err, c.dir, size)
}

// hashSynced hashes what comes from src, whose holes are those of file, and then
// makes the copy durable.
func (c *copying) hashSynced(ctx context.Context, src io.ReaderAt, file *os.File) (*manifest.Manifest, error) {
	m, err := manifest.Split(ctx, src, c.info.Size(), manifest.SplitConfig{
		Progress: c.cfg.Progress,
		Hole:     func(offset, n int64) bool { return isHole(file, offset, n) },
		Block:    c.im.Block,
	})
	if err != nil {
		return nil, err
	}
	return m, c.disk.Sync(c.out)
}

// ReadAt reads from the source and writes the same bytes to the copy, so that
// what is hashed is what was written.
func (c *copying) ReadAt(p []byte, offset int64) (int, error) {
	n, err := c.in.ReadAt(p, offset)
	if n > 0 {
		if err := c.disk.Write(c.out, p[:n], offset); err != nil {
			return 0, err
		}
	}
	return n, err
}

// present is the path of the whole file in the folder that the index has for a
// video and that vidsync made; empty if there is none.
func (c *copying) present(m *manifest.Manifest) (string, error) {
	files, err := c.store.Files(m.CID())
	if err != nil {
		return "", err
	}
	for _, f := range files {
		if f.Origin == blockstore.Added || filepath.Dir(f.Path) != c.dir {
			continue
		}
		if _, err := c.store.FileAt(f.Path); err == nil {
			return f.Path, nil
		}
	}
	return "", nil
}

// publish gives the whole copy the first free name and records it. The note
// comes before the name, so that no crash leaves a file that nobody knows.
func (c *copying) publish(m *manifest.Manifest, v blockstore.Video) (string, error) {
	stamp, err := stampOf(c.out)
	if err != nil {
		return "", err
	}
	for i := 1; i <= maxNumber; i++ {
		path := filepath.Join(c.dir, numbered(filepath.Base(c.in.Name()), i))
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		if err := c.cfg.index.Apply(storeNote(path, stamp)); err != nil {
			return "", err
		}
		err := c.disk.Rename(c.out.Name(), path)
		if err == nil {
			return path, c.record(path, stamp, m, v)
		}
		if err := c.cfg.index.Apply(forgetNote(path, stamp)); err != nil {
			return "", err
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("%s: %d files have this name: %w", filepath.Join(c.dir, filepath.Base(c.in.Name())), maxNumber, ErrExists)
}

// record takes the copy, which was as stamp says until it got its name, up in
// the index, in one step with the end of its note. A copy that cannot be
// recorded is removed.
func (c *copying) record(path string, stamp blockstore.Stamp, m *manifest.Manifest, v blockstore.Video) error {
	err := c.disk.SyncDir(c.dir)
	if err == nil {
		err = c.commit(path, stamp, m, v)
	}
	if err == nil {
		return nil
	}
	if rmErr := c.disk.Remove(path); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
		return errors.Join(err, rmErr) // SweepNoted tries again
	}
	return errors.Join(err, c.disk.SyncDir(c.dir), c.cfg.index.Apply(forgetNote(path, stamp)))
}

func (c *copying) commit(path string, stamp blockstore.Stamp, m *manifest.Manifest, v blockstore.Video) error {
	now, err := stampOf(c.out)
	if err != nil {
		return err
	}
	if !noteOf(stamp).isOf(now) {
		return blockstore.ErrChanged
	}
	f := blockstore.File{Path: path, Stamp: now, Video: m.CID(), Origin: blockstore.Copied, When: time.Now()}
	return c.cfg.index.Commit(c.im, m, f, v, forgetNote(path, stamp))
}

// unchanged makes sure that nobody wrote to a file since it had that stamp.
func unchanged(f *os.File, before blockstore.Stamp) error {
	now, err := stampOf(f)
	if err == nil && now != before {
		err = blockstore.ErrChanged
	}
	return err
}
