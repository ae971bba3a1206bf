//go:build !linux

package assemble

// renameExclusive renames old to path and fails with fs.ErrExist if there is
// anything at path.
func renameExclusive(old, path string) error { return linkExclusive(old, path) }
