package api

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	// maxSocketPath is the longest path of a Unix socket, in bytes: macOS has
	// room for 103 and a NUL, Linux for 107.
	maxSocketPath = 103
	// recordSuffix names the file beside a socket path that is too long; the
	// file holds the path used instead.
	recordSuffix = ".path"
	// maxRecord is the longest record, in bytes.
	maxRecord = 4096
)

// SocketPath is where the socket wanted at path really is. That is path itself
// (made absolute) unless it is longer than the system allows: then the daemon
// chose a short path in a folder of its own and recorded it beside path. The
// record and the folder must belong to this user and be closed to others. The
// error wraps fs.ErrNotExist if path is too long and nothing is recorded.
func SocketPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("make %s absolute: %w", path, err)
	}
	if len(abs) <= maxSocketPath {
		return abs, nil
	}
	return readRecord(abs + recordSuffix)
}

// shortPath is a path for the socket wanted at abs that is short enough, in a
// folder that only this user can enter and that shortPath makes if need be.
func shortPath(abs string) (string, error) {
	sum := sha256.Sum256([]byte(abs))
	name := hex.EncodeToString(sum[:8]) + ".sock"
	folder := "vidsync-" + strconv.Itoa(os.Geteuid())
	dir := filepath.Join(os.TempDir(), folder)
	if len(dir)+len("/")+len(name) > maxSocketPath {
		dir = filepath.Join("/tmp", folder)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return filepath.Join(dir, name), checkPrivate(dir, os.Geteuid())
}

// checkPrivate refuses a folder that is a link, belongs to someone else than
// owner, or is open to others. Whoever can write there could put a socket of
// his own in place of ours.
func checkPrivate(dir string, owner int) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder; remove it", dir)
	}
	if uid, ok := ownerOf(info); !ok || uid != owner {
		return fmt.Errorf("%s belongs to another user; remove it", dir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is open to other users; remove it, or run: chmod 700 %s", dir, dir)
	}
	return nil
}

// readRecord is the socket path in a record. Root follows the records of all
// users; others only their own.
func readRecord(record string) (string, error) {
	// Neither a link nor a pipe in its place may lead astray or block.
	f, err := os.OpenFile(record, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	owner, ok := ownerOf(info)
	if !ok || !info.Mode().IsRegular() || owner != os.Geteuid() && os.Geteuid() != 0 {
		return "", fmt.Errorf("%s is not a file of this user; remove it", record)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", record, err)
	}
	path := strings.TrimSuffix(string(text), "\n")
	if !filepath.IsAbs(path) || len(path) > maxSocketPath || strings.ContainsAny(path, "\x00\n") {
		return "", fmt.Errorf("%s does not hold the path of a socket; remove it", record)
	}
	return path, checkPrivate(filepath.Dir(path), owner)
}

// writeRecord records path, replacing what was recorded before in one step.
func writeRecord(record, path string) error {
	f, err := os.CreateTemp(filepath.Dir(record), ".vidsync-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(path + "\n")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), record)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// ownerOf is the user ID of a file's owner.
func ownerOf(info fs.FileInfo) (uid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}
