package assemble

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxNameBytes = 255 // of a file name, on every file system that matters
	maxExtBytes  = 32  // a longer "extension" is part of the name
	maxNumber    = 1000
	partSuffix   = ".part"
)

// ErrName is returned for a name that cannot be a file name in the
// destination folder.
var ErrName = errors.New("not a usable file name")

// checkName refuses names that would leave the folder or confuse a terminal.
func checkName(t Target) error {
	name := t.Name
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrName)
	case name == "." || name == "..":
		return fmt.Errorf("%w: %q", ErrName, name)
	case strings.ContainsAny(name, `/\`):
		return fmt.Errorf("%w: %q contains a separator", ErrName, name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%w: %q contains a control character", ErrName, name)
	case t.Exact && len(name) > maxNameBytes:
		return fmt.Errorf("%w: %q has %d bytes, limit %d", ErrName, name, len(name), maxNameBytes)
	}
	return nil
}

// numbered is name for n = 1, "NAME (2).ext" for 2 and so on.
func numbered(name string, n int) string {
	stem, ext := cutExt(name)
	if n == 1 {
		return fit(stem, ext)
	}
	return fit(stem, fmt.Sprintf(" (%d)%s", n, ext))
}

// partName is "NAME.ext.part" for n = 1, "NAME.ext.2.part" for 2 and so on.
func partName(final string, n int) string {
	stem, ext := cutExt(final)
	if n == 1 {
		return fit(stem, ext+partSuffix)
	}
	return fit(stem, fmt.Sprintf("%s.%d%s", ext, n, partSuffix))
}

func cutExt(name string) (stem, ext string) {
	ext = filepath.Ext(name)
	if len(ext) == len(name) || len(ext) > maxExtBytes {
		return name, ""
	}
	return name[:len(name)-len(ext)], ext
}

// fit shortens stem, at a character's edge, so that stem and suffix together
// are a legal name.
func fit(stem, suffix string) string {
	room := maxNameBytes - len(suffix)
	if len(stem) <= room {
		return stem + suffix
	}
	for room > 0 && !utf8.RuneStart(stem[room]) {
		room--
	}
	return stem[:room] + suffix
}
