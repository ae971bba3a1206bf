package assemble

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// makeFolder makes a folder, and those above it that are missing, durably: a
// power cut must not take the folder of a finished video.
func makeFolder(d disk, dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	above := filepath.Dir(dir)
	if above == dir {
		return err
	}
	if err := makeFolder(d, above); err != nil {
		return err
	}
	if err := d.Mkdir(dir); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil // by somebody else, just now; or it is a dangling link
		}
		return err
	}
	if err := d.SyncDir(above); err != nil && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("make folder %s durable: %w", dir, err)
	}
	return nil
}
