package assemble_test

import (
	"os"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// noAllocation is a file system that cannot take space beforehand.
type noAllocation struct{ assemble.SystemDisk }

func (d noAllocation) Allocate(f *os.File, size int64) error { return d.Truncate(f, size) }

func (noAllocation) Free(string) (free, total int64, err error) { return 1 << 42, 1 << 42, nil }

// steps are all that a fetch or a copy does to a disk and to the index, by
// name. "before" and "after" are put in front.
var steps = []string{
	"mkdir", "create", "mark", "sync", "put receipt", "allocate", "sync dir", "write",
	"flush", "commit receipt", "rename", "unmark", "finish", "put manifest", "advance receipt", "truncate",
}

// stepper is a disk and an index that say what they do: at is called before and
// after every step. If it returns an error before, the step is not done; after,
// it is the step's outcome.
type stepper struct {
	assemble.Disk
	index assemble.Index
	notes assemble.CopyIndex
	at    func(step string) error
}

func (s *stepper) step(name string, do func() error) error {
	if err := s.at("before " + name); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return s.at("after " + name)
}

func (s *stepper) Mkdir(dir string) error {
	return s.step("mkdir", func() error { return s.Disk.Mkdir(dir) })
}

func (s *stepper) Create(path string) (f *os.File, err error) {
	err = s.step("create", func() error { f, err = s.Disk.Create(path); return err })
	if err != nil && f != nil {
		_ = f.Close()
		return nil, err
	}
	return f, err
}

func (s *stepper) Rename(old, path string) error {
	return s.step("rename", func() error { return s.Disk.Rename(old, path) })
}

func (s *stepper) Remove(path string) error {
	return s.step("remove", func() error { return s.Disk.Remove(path) })
}

func (s *stepper) SyncDir(dir string) error {
	return s.step("sync dir", func() error { return s.Disk.SyncDir(dir) })
}

func (s *stepper) Mark(f *os.File, text string) error {
	return s.step("mark", func() error { return s.Disk.Mark(f, text) })
}

func (s *stepper) Unmark(f *os.File) {
	_ = s.step("unmark", func() error { s.Disk.Unmark(f); return nil })
}

func (s *stepper) Truncate(f *os.File, size int64) error {
	return s.step("truncate", func() error { return s.Disk.Truncate(f, size) })
}

func (s *stepper) Allocate(f *os.File, size int64) error {
	return s.step("allocate", func() error { return s.Disk.Allocate(f, size) })
}

func (s *stepper) Write(f *os.File, data []byte, offset int64) error {
	return s.step("write", func() error { return s.Disk.Write(f, data, offset) })
}

func (s *stepper) Share(dst *os.File, dstOffset int64, src *os.File, srcOffset, n int64) error {
	return s.step("share", func() error { return s.Disk.Share(dst, dstOffset, src, srcOffset, n) })
}

func (s *stepper) Copy(dst *os.File, dstOffset int64, src *os.File, srcOffset, n int64) error {
	return s.step("copy", func() error { return s.Disk.Copy(dst, dstOffset, src, srcOffset, n) })
}

func (s *stepper) Flush(f *os.File) error {
	return s.step("flush", func() error { return s.Disk.Flush(f) })
}

func (s *stepper) Sync(f *os.File) error {
	return s.step("sync", func() error { return s.Disk.Sync(f) })
}

func (s *stepper) PutReceipt(r blockstore.Receipt) error {
	return s.step("put receipt", func() error { return s.index.PutReceipt(r) })
}

func (s *stepper) PutManifest(m *manifest.Manifest) error {
	return s.step("put manifest", func() error { return s.index.PutManifest(m) })
}

func (s *stepper) NameReceipt(video cid.Cid, recording string) error {
	return s.step("name receipt", func() error { return s.index.NameReceipt(video, recording) })
}

func (s *stepper) AdvanceReceipt(from cid.Cid, to *manifest.Manifest) error {
	return s.step("advance receipt", func() error { return s.index.AdvanceReceipt(from, to) })
}

func (s *stepper) CommitReceipt(video cid.Cid, updates []blockstore.ReceiptUpdate) error {
	return s.step("commit receipt", func() error { return s.index.CommitReceipt(video, updates) })
}

func (s *stepper) DropReceipt(video cid.Cid) error {
	return s.step("drop receipt", func() error { return s.index.DropReceipt(video) })
}

func (s *stepper) Finish(m *manifest.Manifest, f blockstore.File, v blockstore.Video, jobs ...blockstore.Job) error {
	return s.step("finish", func() error { return s.index.Finish(m, f, v, jobs...) })
}

func (s *stepper) Apply(changes ...blockstore.Change) error {
	return s.step("put note", func() error { return s.notes.Apply(changes...) })
}

func (s *stepper) Commit(im *blockstore.Import, m *manifest.Manifest, f blockstore.File, v blockstore.Video, changes ...blockstore.Change) error {
	return s.step("commit copy", func() error { return s.notes.Commit(im, m, f, v, changes...) })
}

// config is c with every change going by way of s.
func (s *stepper) config(c assemble.Config) assemble.Config {
	return assemble.WithIndex(assemble.WithDisk(c, s), s)
}
