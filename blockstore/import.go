package blockstore

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/vidsync/vidsync/manifest"
)

// inlineBlocks is the most blocks of a video whose manifest is written in the
// same transaction as its catalogue entry.
const inlineBlocks = 1024

var errImportOver = errors.New("import is over")

// Import is one file on its way into the index. It is not safe for concurrent
// use. Nothing of it can be seen before Commit. The owner ends it with Commit
// or Discard; Discard after Commit does nothing.
type Import struct {
	s       *Store
	id      fileID
	pending []write // blocks not yet written
	batches int     // that a flush was begun for
	blocks  int     // received
	over    bool
}

// Import begins to add a file.
func (s *Store) Import() *Import { return &Import{s: s, id: s.numbers.take()} }

// Block takes one block of the file, in any order. It fits
// manifest.SplitConfig.Block. It keeps o, and writes to the index when enough
// has come together.
func (im *Import) Block(b manifest.Block, o manifest.Outboard) error {
	if im.over {
		return errImportOver
	}
	if err := checkOutboard(b, o); err != nil {
		return err
	}
	im.pending = append(im.pending, write{block: b, outboard: o})
	im.blocks++
	if len(im.pending) < batchBlocks {
		return nil
	}
	return im.flush()
}

func checkOutboard(b manifest.Block, o manifest.Outboard) error {
	if b.Len < 1 || b.Len > manifest.BlockSize || len(o) != manifest.OutboardLen(b.Len) {
		return fmt.Errorf("block %d of %d bytes comes with a proof of %d", b.Index, b.Len, len(o))
	}
	return nil
}

// flush writes the pending blocks, and in the journal which ones they are. From
// then on the import is under way for whoever removes what is left behind.
func (im *Import) flush() error {
	err := im.s.update(func(t txn) error {
		im.s.active[im.id] = struct{}{}
		key := fileItemKey(journalKey, im.id, im.batches)
		if err := t.Set(key, journalValue(im.pending)); err != nil {
			return err
		}
		return t.putBlocks(im.id, im.pending)
	})
	im.batches++
	if err != nil {
		return fmt.Errorf("record blocks: %w", err)
	}
	clear(im.pending)
	im.pending = im.pending[:0]
	return nil
}

func journalValue(writes []write) []byte {
	out := make([]byte, 0, len(writes)*digestLen)
	for _, w := range writes {
		out = append(out, w.block.Digest[:]...)
	}
	return out
}

// Commit makes the file, its blocks, its manifest and its catalogue entry
// visible at once. Every block of m must have been given to Block. f.Stamp must
// be from before the first byte was read: a file that is not like that any more
// gives ErrChanged. The fields of f and v that follow from m are filled in. A
// file that was known at this path is forgotten. The changes, with the limits of
// Apply, are made with it or not at all.
func (im *Import) Commit(m *manifest.Manifest, f File, v Video, changes ...Change) error {
	if im.over {
		return errImportOver
	}
	if _, _, err := checkChanges(changes); err != nil {
		return fmt.Errorf("commit %s: %w", f.Path, err)
	}
	if im.blocks != m.NumBlocks() {
		return fmt.Errorf("commit %s: %d blocks imported, the manifest has %d", f.Path, im.blocks, m.NumBlocks())
	}
	if err := checkNew(m, f); err != nil {
		return fmt.Errorf("commit %s: %w", f.Path, err)
	}
	if m.NumBlocks() > inlineBlocks {
		if err := im.s.PutManifest(m); err != nil {
			return err
		}
	}
	var old []orphan
	err := im.s.updateTogether(im.weight(m), func(t txn) (err error) {
		old, err = im.write(t, m, f, v, changes)
		return err
	})
	if err != nil {
		return fmt.Errorf("commit %s: %w", f.Path, err)
	}
	im.end()
	im.s.forgotten(old)
	if im.batches > 0 {
		im.s.dropJournal(im.id)
	}
	return nil
}

// write is the last transaction. It returns the file that was replaced.
func (im *Import) write(t txn, m *manifest.Manifest, f File, v Video, changes []Change) ([]orphan, error) {
	if m.NumBlocks() <= inlineBlocks {
		if err := t.putSmallManifest(m); err != nil {
			return nil, err
		}
	}
	if err := t.putBlocks(im.id, im.pending); err != nil {
		return nil, err
	}
	for _, c := range changes {
		if err := c.effect(t); err != nil {
			return nil, err
		}
	}
	return im.s.publish(t, im.id, m, f, v)
}

// weight is about what the last transaction writes, in bytes.
func (im *Import) weight(m *manifest.Manifest) int {
	bytes := recordBytes
	for _, w := range im.pending {
		bytes += blockRecordBytes + len(w.outboard)
	}
	if m.NumBlocks() <= inlineBlocks {
		bytes += m.NumBlocks() * digestLen * 2
	}
	return bytes
}

// checkNew checks a file that is about to be recorded.
func checkNew(m *manifest.Manifest, f File) error {
	if err := checkPath(f.Path); err != nil {
		return err
	}
	if f.Stamp.Size != m.Size() {
		return fmt.Errorf("file of %d bytes is not the video of %d: %w", f.Stamp.Size, m.Size(), ErrChanged)
	}
	return checkStamp(f.Path, f.Stamp)
}

func (t txn) putSmallManifest(m *manifest.Manifest) error {
	root, err := manifest.NodeDigest(m.CID())
	if err != nil {
		return err
	}
	for n, err := range m.Nodes() {
		if err != nil {
			return err
		}
		if err := t.putNode(n, root); err != nil {
			return err
		}
	}
	return nil
}

// Discard gives the import up. What it wrote is removed now if that works, and
// by Run or GC otherwise.
func (im *Import) Discard() {
	if im.over {
		return
	}
	im.end()
	if im.batches > 0 {
		im.s.dropJournal(im.id)
	}
}

func (im *Import) end() {
	im.over = true
	im.pending = nil
	if im.batches == 0 {
		return
	}
	im.s.writing.Lock()
	defer im.s.writing.Unlock()
	delete(im.s.active, im.id)
}

// publish is the small transaction that makes a file and its video visible. It
// returns the file that it replaces.
func (s *Store) publish(t txn, id fileID, m *manifest.Manifest, f File, v Video) ([]orphan, error) {
	d, err := manifest.NodeDigest(m.CID())
	if err != nil {
		return nil, err
	}
	if ok, err := t.has(digestKey(nodeKey, d)); err != nil || !ok {
		return nil, errors.Join(err, fmt.Errorf("manifest %s: %w", m.CID(), fs.ErrNotExist))
	}
	old, err := t.replace(f.Path)
	if err != nil {
		return nil, err
	}
	f.Video = m.CID()
	if f.When.IsZero() {
		f.When = time.Now()
	}
	v.CID, v.Size, v.Blocks = m.CID(), m.Size(), m.NumBlocks()
	if v, err = t.putVideo(d, v); err != nil {
		return nil, err
	}
	if err := t.putFile(id, f, d); err != nil {
		return nil, err
	}
	t.noteFile(f, v)
	delete(s.fresh, d) // at worst the transaction fails and nothing refers to it
	return old, nil
}

// replace forgets the file on record at path, if there is one.
func (t txn) replace(path string) ([]orphan, error) {
	id, f, err := t.fileAt(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o, err := t.forget(id, f)
	return []orphan{o}, err
}

func (t txn) putFile(id fileID, f File, d manifest.Digest) error {
	record, err := encodeFile(f, d)
	if err != nil {
		return err
	}
	if err := t.Set(numberKey(fileKey, uint64(id)), record); err != nil {
		return err
	}
	if err := t.Set(textKey(pathKey, f.Path), encodeNumber(uint64(id))); err != nil {
		return err
	}
	return t.Set(digestFileKey(contentKey, d, id), nil)
}
