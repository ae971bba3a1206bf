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
	if len(text) == 0 {
		return nil // older versions did not sync it: a power cut could leave it empty
	}
	return parseFormat(text)
}

func parseFormat(text []byte) error {
	text = bytes.TrimSpace(text)
	if len(text) > maxFormatBytes {
		return damaged(fmt.Errorf("format of %d bytes", len(text)))
	}
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil {
		return damaged(fmt.Errorf("format is not a number: %w", err))
	}
	if n > format {
		return fmt.Errorf("%w: format %d, this version reads up to %d", ErrNewer, n, format)
	}
	return nil
}

// checkFormat checks the format inside the index, or writes it into a new one.
// The file beside it comes after, so with that file the index is not new.
func (s *Store) checkFormat() error {
	key := []byte{formatKey}
	err := s.view(func(t txn) error { return t.value(key, parseFormat) })
	if errors.Is(err, fs.ErrNotExist) && exists(filepath.Join(s.dir, formatFile)) {
		return damaged(errors.New("its content is gone"))
	}
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
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		return nil
	}
	return replaceFile(path, fmt.Appendln(nil, format))
}
