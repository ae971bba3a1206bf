package assemble

import (
	"context"

	"github.com/vidsync/vidsync/blockstore"
)

// Disk, SystemDisk and Index let tests stand between a File and what it
// changes.
type (
	Disk       = disk
	SystemDisk = systemDisk
	Index      = index
	CopyIndex  = copyIndex
)

// WithDisk is c with another disk.
func WithDisk(c Config, d Disk) Config {
	c.disk = d
	return c
}

// WithIndex is c with changes of the index going by way of i.
func WithIndex(c Config, i Index) Config {
	c.index = i
	return c
}

// CopyInBy is CopyIn on another disk and index.
func CopyInBy(ctx context.Context, store *blockstore.Store, d Disk, i CopyIndex, src, dir string) (string, error) {
	path, _, err := CopyIn(ctx, store, src, dir, CopyConfig{disk: d, index: i})
	return path, err
}

// IndexOf is what CopyIn changes a store by.
func IndexOf(store *blockstore.Store) CopyIndex { return storeIndex{store} }

// NoteCopy leaves the note of a copy that is about to get its name.
func NoteCopy(store *blockstore.Store, path string, s blockstore.Stamp) error {
	return store.Apply(storeNote(path, s))
}

// Notes is how many such notes there are.
func Notes(store *blockstore.Store) (n int) {
	for range store.States(noteKind, "") {
		n++
	}
	return n
}

// Checkpoint commits a receipt now.
func (f *File) Checkpoint() error { return f.checkpoint() }

// RefuseDirect makes f write as on a file system without direct writes.
func (f *File) RefuseDirect() { f.noDirect.Store(true) }

// TreesInMemory is the number of proof trees that f keeps.
func (f *File) TreesInMemory() int {
	f.trees.mu.Lock()
	defer f.trees.mu.Unlock()
	return len(f.trees.trees)
}

// AlignedBuffer returns n bytes that can be written directly.
func AlignedBuffer(n int) []byte { return alignedBuffer(n) }

var (
	Numbered  = numbered
	PartName  = partName
	CheckName = checkName
	CopyName  = copyName
	Explain   = explain
	// OpenPastCache opens a file for Reread.
	OpenPastCache = openPastCache
	IsHole        = isHole
	// LinkExclusive is the rename for systems that could replace a file.
	LinkExclusive   = linkExclusive
	RenameExclusive = renameExclusive
)

// Limits under test.
const (
	MaxNameBytes = maxNameBytes
	MaxIdleTrees = maxIdleTrees
)
