package assemble

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
	// LinkExclusive is the rename for systems that could replace a file.
	LinkExclusive   = linkExclusive
	RenameExclusive = renameExclusive
)

// Limits under test.
const (
	MaxNameBytes = maxNameBytes
	MaxIdleTrees = maxIdleTrees
)
