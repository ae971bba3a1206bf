package daemon

import (
	"path/filepath"
	"strings"

	"github.com/vidsync/vidsync/api"
)

// checkApart makes sure that a folder is neither one of those that are watched,
// nor in one, nor around one: a file in both would be added with two relative
// paths. Symlinks are looked through.
func checkApart(dir string, watched []string) error {
	real := realPath(dir)
	for _, other := range watched {
		otherReal := realPath(other)
		switch {
		case dir == other || real == otherReal:
			return api.Errorf(api.CodeUsage, "%s is watched already; give --glob, --settle or --remove-after to change how, or end it with: vidsync watch rm %s", named(dir, other), other)
		case isBelow(dir, other) || isBelow(real, otherReal):
			return api.Errorf(api.CodeUsage, "%s is in %s, which is watched with everything below it", dir, other)
		case isBelow(other, dir) || isBelow(otherReal, real):
			return api.Errorf(api.CodeUsage, "%s is in %s and watched already; first: vidsync watch rm %s", other, dir, other)
		}
	}
	return nil
}

// named is a folder, and the path by which it is watched if that is another.
func named(dir, other string) string {
	if dir == other {
		return dir
	}
	return dir + " (" + other + ")"
}

// realPath is path without symlinks, and path itself if it is not there.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// isBelow tells whether a path is in a folder, at any depth.
func isBelow(path, folder string) bool {
	separator := string(filepath.Separator)
	return path != folder && strings.HasPrefix(path, strings.TrimSuffix(folder, separator)+separator)
}
