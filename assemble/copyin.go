package assemble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vidsync/vidsync/blockstore"
)

// copyChunk is how much is copied between two looks at the context.
const copyChunk = 64 << 20

// CopyIn puts a copy of the file src into the folder dir, which it makes if it
// is missing, and returns the copy's path. The copy shares the disk space of
// src where the file system can do that, and is whole and on disk when CopyIn
// returns; its name is that of src, with a number if that one is taken. A file
// that changes meanwhile is refused: blockstore.ErrChanged.
func CopyIn(ctx context.Context, src, dir string) (path string, err error) {
	in, err := os.Open(src)
	if err != nil {
		return "", err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return "", err
	}
	before, err := stampOf(in)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	out, err := os.CreateTemp(dir, "."+fit(filepath.Base(src), ".*"+partSuffix))
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, out.Close())
		if rmErr := os.Remove(out.Name()); !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}()
	err = copyFile(ctx, out, in, info.Size(), dir)
	if err == nil {
		err = unchanged(in, before)
	}
	if err == nil {
		err = out.Chmod(info.Mode().Perm())
	}
	if err != nil {
		return "", fmt.Errorf("copy %s into %s: %w", src, dir, err)
	}
	return publish(out, dir, filepath.Base(src))
}

func copyFile(ctx context.Context, out, in *os.File, size int64, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if size > 0 && reflink(out, 0, in, 0, 0) == nil { // 0 bytes: to the end
		return out.Sync()
	}
	if err := checkSpace(dir, size, 0); err != nil {
		return err
	}
	for offset := int64(0); offset < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(copyChunk, size-offset)
		if err := copyChunkAt(out, in, offset, n); err != nil {
			return spaceError(err, dir, size-offset)
		}
		offset += n
	}
	return out.Sync()
}

// unchanged makes sure that nobody wrote to a file since it had that stamp.
func unchanged(f *os.File, before blockstore.Stamp) error {
	now, err := stampOf(f)
	if err == nil && now != before {
		err = blockstore.ErrChanged
	}
	return err
}

func copyChunkAt(out, in *os.File, offset, n int64) error {
	if copyRange(out, offset, in, offset, n) == nil {
		return nil
	}
	_, err := io.Copy(io.NewOffsetWriter(out, offset), io.NewSectionReader(in, offset, n))
	return err
}

// publish gives a finished file the first free name.
func publish(out *os.File, dir, name string) (string, error) {
	for i := 1; i <= maxNumber; i++ {
		path := filepath.Join(dir, numbered(name, i))
		err := renameExclusive(out.Name(), path)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		return path, syncDir(dir)
	}
	return "", fmt.Errorf("%s: %d files have this name: %w", filepath.Join(dir, name), maxNumber, ErrExists)
}
