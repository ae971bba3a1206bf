package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
)

// video makes a file of random bytes, once for each size: there is nothing in
// it to compress and no block is there twice.
func (b *bench) video(size int64) (string, error) {
	name := fmt.Sprintf("video-%d.mp4", size)
	if path := b.made[name]; path != "" {
		return path, nil
	}
	path := filepath.Join(b.dir, name)
	if err := writeRandom(path, size); err != nil {
		return "", err
	}
	b.made[name] = path
	return path, nil
}

func writeRandom(path string, size int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	source := rand.NewChaCha8([32]byte{byte(size >> 20), byte(size >> 28)})
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, io.LimitReader(source, size), make([]byte, mib)); err != nil {
		return err
	}
	return f.Sync() // so that its write-back does not disturb what is measured
}

// sparseFile makes a file that is one hole.
func (b *bench) sparseFile(dir string, size int64) (string, error) {
	path := filepath.Join(dir, "sparse.mp4")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	err = errors.Join(f.Truncate(size), f.Close())
	if errors.Is(err, syscall.EFBIG) || errors.Is(err, syscall.EINVAL) {
		return "", skip("the file system of %s has no files of %d TiB", b.dir, size/tib)
	}
	return path, err
}

// syncFile returns when a file's bytes are on disk: what other ways of moving
// it leave to the system.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
