package blockstore

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/vidsync/vidsync/manifest"
)

// FileRecord is FileAt without a look at the file: what is on record of a path,
// whatever is there now. A path that was never added is fs.ErrNotExist.
func (s *Store) FileRecord(path string) (f File, err error) {
	err = s.view(func(t txn) error {
		_, f, err = t.fileAt(path)
		return err
	})
	if err != nil {
		return File{}, fmt.Errorf("file %s: %w", path, err)
	}
	return f, nil
}

// MoveFile takes note that the file that was added at from has the path to now.
// No byte is read: the file at to must be as stamp says, and that must be the
// file on record but for its change time, which renaming sets; otherwise it is
// ErrChanged. A file that was on record at to is forgotten. A path from that was
// never added, or a file that is not at to, is fs.ErrNotExist. The changes, with
// the limits of Apply, are made with it or not at all.
func (s *Store) MoveFile(from, to string, stamp Stamp, changes ...Change) error {
	var old []orphan
	_, _, err := checkChanges(changes)
	if err == nil {
		err = s.update(func(t txn) (err error) {
			for _, c := range changes {
				if err := c.effect(t); err != nil {
					return err
				}
			}
			old, err = t.moveFile(from, to, stamp)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("move file %s to %s: %w", from, to, err)
	}
	s.forgotten(old)
	return nil
}

// moveFile returns the file that was replaced. The places of the file's blocks
// hang on its number, which stays.
func (t txn) moveFile(from, to string, stamp Stamp) (old []orphan, err error) {
	id, f, err := t.fileAt(from)
	if err != nil {
		return nil, err
	}
	if !sameFile(f.Stamp, stamp) {
		return nil, changed(from)
	}
	if err := errors.Join(checkPath(to), checkStamp(to, stamp)); err != nil {
		return nil, err
	}
	if from != to {
		if old, err = t.replace(to); err != nil {
			return nil, err
		}
		if err := t.Delete(textKey(pathKey, from)); err != nil {
			return nil, err
		}
		t.noteForgotten(from)
	}
	f.Path, f.Stamp = to, stamp
	return old, t.putMoved(id, f)
}

// putMoved stores a file record again, under the path that it has now.
func (t txn) putMoved(id fileID, f File) error {
	d, err := manifest.NodeDigest(f.Video)
	if err != nil {
		return err
	}
	if err := t.putFile(id, f, d); err != nil {
		return err
	}
	v, err := t.video(d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the journal has nothing about a file whose video was removed
	}
	if err != nil {
		return err
	}
	t.noteFile(f, v)
	return nil
}

// sameFile compares all of two stamps but the change times.
func sameFile(a, b Stamp) bool {
	a.ChangeTime = b.ChangeTime
	return a == b
}

// RestampFiles gives the files at paths other device and inode numbers, which a
// file system may have after it was mounted again. Where size or times are not
// those on record nothing is done, nor where nothing is on record. It takes at
// most MaxChanges at once. The files are not looked at: a wrong number means
// that the file counts as changed.
func (s *Store) RestampFiles(stamps map[string]Stamp) error {
	if len(stamps) == 0 {
		return nil
	}
	if len(stamps) > MaxChanges {
		return fmt.Errorf("restamp %d files at once, limit %d", len(stamps), MaxChanges)
	}
	err := s.update(func(t txn) error {
		for path, stamp := range stamps {
			if err := t.restamp(path, stamp); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("restamp %d files: %w", len(stamps), err)
	}
	return nil
}

func (t txn) restamp(path string, stamp Stamp) error {
	id, f, err := t.fileAt(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f.Stamp.Device, f.Stamp.Inode = stamp.Device, stamp.Inode
	if f.Stamp != stamp {
		return nil
	}
	d, err := manifest.NodeDigest(f.Video)
	if err != nil {
		return err
	}
	return t.putFile(id, f, d)
}
