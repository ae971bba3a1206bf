package blockstore

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/vidsync/vidsync/manifest"
)

// Finish turns the receipt of a video into a file of the index: file, places,
// catalogue entry and jobs are visible at once and the receipt is gone. The
// receipt must cover every piece, and the file must be at f.Path, synced; a zero
// f.Stamp means the one it has now. The fields of f and v that follow from m
// are filled in. It may be repeated: once finished, it stores v and the jobs
// again.
func (s *Store) Finish(m *manifest.Manifest, f File, v Video, jobs ...Job) (err error) {
	if f.Stamp == (Stamp{}) {
		if f.Stamp, err = stampAt(f.Path); err != nil {
			return fmt.Errorf("finish %s: %w", m.CID(), err)
		}
	}
	if err := checkNew(m, f); err != nil {
		return fmt.Errorf("finish %s: %w", m.CID(), err)
	}
	if err := s.PutManifest(m); err != nil {
		return err
	}
	var old []orphan
	var id fileID
	err = s.update(func(t txn) error {
		id, old, err = s.finish(t, m, f, v)
		if err != nil {
			return err
		}
		return t.putJobs(jobs)
	})
	if err != nil {
		return fmt.Errorf("finish %s: %w", m.CID(), err)
	}
	s.forgotten(old)
	s.dropJournal(id)
	return nil
}

// finish publishes the receipt's file under the receipt's number, where the
// places already are.
func (s *Store) finish(t txn, m *manifest.Manifest, f File, v Video) (fileID, []orphan, error) {
	d, err := manifest.NodeDigest(m.CID())
	if err != nil {
		return 0, nil, err
	}
	r, err := t.receipt(d)
	if errors.Is(err, fs.ErrNotExist) {
		id, err := t.refinish(d, m, f, v)
		return id, nil, err
	}
	if err != nil {
		return 0, nil, err
	}
	id := fileID(r.File)
	if err := t.checkComplete(id, m); err != nil {
		return 0, nil, err
	}
	old, err := s.publish(t, id, m, f, v)
	if err != nil {
		return 0, nil, err
	}
	if err := t.Delete(digestKey(receiptKey, d)); err != nil {
		return 0, nil, err
	}
	// The masks go later; a journal tells that they are there.
	return id, old, t.Set(fileItemKey(journalKey, id, 0), nil)
}

// refinish is Finish of what is finished already.
func (t txn) refinish(d manifest.Digest, m *manifest.Manifest, f File, v Video) (fileID, error) {
	id, known, err := t.fileAt(f.Path)
	if err != nil {
		return 0, fmt.Errorf("no receipt, and no file at %s: %w", f.Path, err)
	}
	if !known.Video.Equals(m.CID()) || known.Stamp != f.Stamp {
		return 0, fmt.Errorf("no receipt, and the file on record is another: %w", changed(f.Path))
	}
	v.CID, v.Size, v.Blocks = m.CID(), m.Size(), m.NumBlocks()
	if v, err = t.putVideo(d, v); err != nil {
		return 0, err
	}
	t.noteFile(known, v) // the last time may have been cut off before the journal
	return id, nil
}

// checkComplete checks that the masks under id cover all of m.
func (t txn) checkComplete(id fileID, m *manifest.Manifest) error {
	whole := 0
	err := t.masks(id, func(block int, mask uint32) {
		if block < m.NumBlocks() && mask == fullMask(m.Block(block).Len) {
			whole++
		}
	})
	if err != nil {
		return err
	}
	if whole != m.NumBlocks() {
		return fmt.Errorf("receipt covers %d of %d blocks", whole, m.NumBlocks())
	}
	return nil
}

func (t txn) putJobs(jobs []Job) error {
	for _, j := range jobs {
		if err := t.putJob(j); err != nil {
			return fmt.Errorf("job %.64q: %w", j.ID, err)
		}
	}
	return nil
}
