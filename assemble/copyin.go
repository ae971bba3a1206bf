package assemble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vidsync/vidsync/blockstore"
)

const (
	copyChunk  = 64 << 20 // between two looks at the context
	copyBuffer = 1 << 20  // where the system does not copy by itself
)

// CopyIn puts a copy of the file src into the folder dir, which it makes if it
// is missing, and returns the copy's path. The copy shares the disk space of
// src where the file system can do that, and is whole and on disk when CopyIn
// returns; its name is that of src, with a number if that one is taken. A file
// that changes meanwhile is refused: blockstore.ErrChanged. Trouble with the
// disk is ErrNoSpace or a DiskError. What a killed CopyIn left in dir is
// removed.
func CopyIn(ctx context.Context, src, dir string) (path string, err error) {
	return copyIn(ctx, systemDisk{}, src, dir)
}

func copyIn(ctx context.Context, d disk, src, dir string) (path string, err error) {
	in, err := os.Open(src)
	if err != nil {
		return "", err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", src)
	}
	path, err = copyOver(ctx, d, in, info, dir)
	if err != nil {
		return "", fmt.Errorf("copy %s into %s: %w", src, dir, explain(err, dir))
	}
	return path, nil
}

// copyOver copies an open file of which info was taken before.
func copyOver(ctx context.Context, d disk, in *os.File, info fs.FileInfo, dir string) (path string, err error) {
	if err := makeFolder(d, dir); err != nil {
		return "", err
	}
	_, _ = Sweep(dir) // what cannot be removed is no hindrance
	out, err := createCopy(d, dir, filepath.Base(in.Name()))
	if err != nil {
		return "", err
	}
	defer func() {
		if rmErr := d.Remove(out.Name()); !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
		err = errors.Join(err, closeLocked(out))
	}()
	if err := out.Chmod(info.Mode().Perm()); err != nil {
		return "", err
	}
	if err := copyFile(ctx, d, out, in, info.Size(), dir); err != nil {
		return "", err
	}
	if err := unchanged(in, blockstore.StampOf(info)); err != nil {
		return "", err
	}
	return publish(d, out, dir, filepath.Base(in.Name()))
}

// createCopy makes the file that the copy is written to, and locks it.
func createCopy(d disk, dir, name string) (*os.File, error) {
	for range maxNumber {
		path := filepath.Join(dir, copyName(name))
		out, err := d.Create(path)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := lockNew(out); err == nil {
			return out, nil
		}
		_ = out.Close() // a Sweep came between
	}
	return nil, fmt.Errorf("%s: no name for the copy: %w", dir, ErrExists)
}

func copyFile(ctx context.Context, d disk, out, in *os.File, size int64, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if size > 0 && d.Share(out, 0, in, 0, 0) == nil { // 0 bytes: to the end
		return d.Sync(out)
	}
	if err := checkSpace(d, dir, size, 0); err != nil {
		return err
	}
	var buf []byte
	for offset := int64(0); offset < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(copyChunk, size-offset)
		if err := d.Copy(out, offset, in, offset, n); err != nil {
			if buf == nil {
				buf = make([]byte, copyBuffer)
			}
			if err := copyChunkAt(d, out, in, offset, n, buf); err != nil {
				return spaceError(d, err, dir, size-offset)
			}
		}
		offset += n
	}
	return d.Sync(out)
}

// unchanged makes sure that nobody wrote to a file since it had that stamp.
func unchanged(f *os.File, before blockstore.Stamp) error {
	now, err := stampOf(f)
	if err == nil && now != before {
		err = blockstore.ErrChanged
	}
	return err
}

// copyChunkAt copies n bytes through buf.
func copyChunkAt(d disk, out, in *os.File, offset, n int64, buf []byte) error {
	for n > 0 {
		data := buf[:min(n, int64(len(buf)))]
		if _, err := in.ReadAt(data, offset); err != nil {
			return err
		}
		if err := d.Write(out, data, offset); err != nil {
			return err
		}
		offset += int64(len(data))
		n -= int64(len(data))
	}
	return nil
}

// publish gives a finished file the first free name.
func publish(d disk, out *os.File, dir, name string) (string, error) {
	for i := 1; i <= maxNumber; i++ {
		path := filepath.Join(dir, numbered(name, i))
		err := d.Rename(out.Name(), path)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		return path, d.SyncDir(dir)
	}
	return "", fmt.Errorf("%s: %d files have this name: %w", filepath.Join(dir, name), maxNumber, ErrExists)
}
