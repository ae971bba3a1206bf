package blockstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// closedFile stands beside Badger's files while the index is closed and says
// how they were left. After a kill it is not there. Badger takes a manifest or a
// log that was cut for one that was being written, and goes on without what is
// missing: this tells the difference.
const closedFile = "CLOSED"

// maxClosedBytes is the longest such file: some 10,000 names.
const maxClosedBytes = 1 << 20

// leftFile is a file as it was left.
type leftFile struct {
	Name string  `json:"name"`
	Size int64   `json:"size"`
	Sum  *uint32 `json:"sum,omitempty"` // CRC-32C
}

// writeClosed records how the files of an index that was just closed were left.
// If another process has it by now, it does nothing.
func writeClosed(dir string) error {
	unlock, err := lock(dir)
	if errors.Is(err, ErrInUse) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	files, err := left(dir)
	if err != nil {
		return err
	}
	data, err := json.Marshal(files)
	if err != nil || len(data) > maxClosedBytes {
		return err // too many to list: then there is no such file
	}
	return replaceFile(filepath.Join(dir, closedFile), data)
}

// left lists the files of an index that is not open.
func left(dir string) (files []leftFile, err error) {
	entries, err := os.ReadDir(dir) // in the order of their names
	if err != nil {
		return nil, err
	}
	log := -1 // the newest
	for _, e := range entries {
		name := e.Name()
		ext := filepath.Ext(name)
		if name != badger.ManifestFilename && name != badger.KeyRegistryFileName && ext != ".sst" && ext != ".vlog" {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		files = append(files, leftFile{Name: name, Size: info.Size()})
		if ext == ".vlog" {
			log = len(files) - 1
		}
	}
	for i := range files {
		if ext := filepath.Ext(files[i].Name); ext == ".sst" || ext == ".vlog" && i != log {
			continue // too long to read; they have sums of their own
		}
		if files[i].Sum, err = fileSum(filepath.Join(dir, files[i].Name)); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func fileSum(path string) (*uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: nothing to lose
	h := crc32.New(castagnoli)
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	sum := h.Sum32()
	return &sum, nil
}

// checkClosed compares the files of an index with how they were left, and takes
// the record of that away, as they are about to change. ErrDamaged leaves it.
func checkClosed(dir string) error {
	path := filepath.Join(dir, closedFile)
	want, err := readClosed(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	void, err := openedSince(dir, want)
	if err != nil {
		return err
	}
	if !void {
		for _, f := range want {
			if err := f.check(dir); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncDir(dir)
}

// readClosed gives none for a record that is not one of ours.
func readClosed(path string) (files []leftFile, err error) {
	info, err := os.Stat(path)
	if err != nil || info.Size() > maxClosedBytes {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(data, &files) != nil {
		return nil, nil
	}
	for _, f := range files {
		if f.Name != filepath.Base(f.Name) {
			return nil, nil
		}
	}
	return files, nil
}

// openedSince tells whether a program that knows nothing of the record had the
// index open since: Badger begins a new log whenever it opens.
func openedSince(dir string, files []leftFile) (bool, error) {
	newest := ""
	for _, f := range files {
		if strings.HasSuffix(f.Name, ".vlog") {
			newest = max(newest, f.Name)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".vlog") && e.Name() > newest {
			return true, nil
		}
	}
	return false, nil
}

// check compares a file with how it was left.
func (f leftFile) check(dir string) error {
	path := filepath.Join(dir, f.Name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return damaged(fmt.Errorf("%s is missing", f.Name))
	}
	if err != nil {
		return err
	}
	if info.Size() != f.Size {
		return damaged(fmt.Errorf("%s has %d bytes, had %d", f.Name, info.Size(), f.Size))
	}
	if f.Sum == nil {
		return nil
	}
	sum, err := fileSum(path)
	if err != nil {
		return err
	}
	if *sum != *f.Sum {
		return damaged(fmt.Errorf("%s is not as it was", f.Name))
	}
	return nil
}

// replaceFile writes a file so that it is there whole or not at all.
func replaceFile(path string, data []byte) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
