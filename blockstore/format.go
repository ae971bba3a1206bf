package blockstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

const (
	format = 1 // of the index that this version reads and writes

	// formatFile stands beside Badger's files and repeats the format, so that
	// an index of a newer version is refused before anything touches it.
	formatFile     = "FORMAT"
	maxFormatBytes = 32
)

func checkFormatFile(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, formatFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return parseFormat(text)
}

func parseFormat(text []byte) error {
	text = bytes.TrimSpace(text)
	if len(text) > maxFormatBytes {
		return fmt.Errorf("format of the index is not a number")
	}
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil {
		return fmt.Errorf("format of the index is not a number: %w", err)
	}
	if n > format {
		return fmt.Errorf("%w: format %d, this version reads up to %d", ErrNewer, n, format)
	}
	return nil
}

// checkFormat checks the format inside the index, or writes it into a new one.
func (s *Store) checkFormat() error {
	key := []byte{formatKey}
	err := s.view(func(t txn) error { return t.value(key, parseFormat) })
	if errors.Is(err, fs.ErrNotExist) {
		err = s.remove(func(t txn) error { return t.Set(key, strconv.AppendInt(nil, format, 10)) })
	}
	if err != nil {
		return err
	}
	return writeFormatFile(s.dir)
}

func writeFormatFile(dir string) error {
	path := filepath.Join(dir, formatFile)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, fmt.Appendln(nil, format), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
