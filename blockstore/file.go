package blockstore

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/manifest"
)

// maxPathBytes is the longest path of a file in bytes.
const maxPathBytes = 16 << 10

// Origin says how a file came to be here.
type Origin string

// The origins of a file.
const (
	Added   Origin = "added"   // in place: it was here before
	Copied  Origin = "copied"  // by add, from a file elsewhere
	Fetched Origin = "fetched" // from peers
)

// File is one file that holds a whole video.
type File struct {
	Path   string // absolute
	Stamp  Stamp  // when it was added
	Video  cid.Cid
	Origin Origin
	When   time.Time // it was added
}

func encodeFile(f File, video manifest.Digest) ([]byte, error) {
	return encodeRecord(fileRecord{
		Path: f.Path, Size: f.Stamp.Size, ModTime: f.Stamp.ModTime, ChangeTime: f.Stamp.ChangeTime,
		Inode: f.Stamp.Inode, Device: f.Stamp.Device, Video: video[:], Origin: string(f.Origin), When: nanoseconds(f.When),
	})
}

func decodeFile(data []byte) (File, error) {
	var r fileRecord
	if err := decodeRecord(data, &r); err != nil {
		return File{}, err
	}
	d, err := digestField(r.Video)
	if err != nil {
		return File{}, err
	}
	if err := checkPath(r.Path); err != nil {
		return File{}, fmt.Errorf("%w: %w", errRecord, err)
	}
	if r.Size < 0 || r.Size > manifest.MaxVideoSize {
		return File{}, fmt.Errorf("%w: file of %d bytes", errRecord, r.Size)
	}
	return File{
		Path:  r.Path,
		Stamp: Stamp{Size: r.Size, ModTime: r.ModTime, ChangeTime: r.ChangeTime, Inode: r.Inode, Device: r.Device},
		Video: videoCID(d), Origin: Origin(r.Origin), When: timeAt(r.When),
	}, nil
}

func checkPath(path string) error {
	if !filepath.IsAbs(path) || len(path) > maxPathBytes {
		return fmt.Errorf("%.100q is not an absolute path of at most %d bytes", path, maxPathBytes)
	}
	return nil
}

// FileAt returns the file that was added at path, so that an unchanged file
// need not be read again. The file is looked at: if it is not as it was when it
// was added, its record comes with an error wrapping ErrChanged, or
// fs.ErrNotExist if it is gone. A path that was never added is fs.ErrNotExist.
func (s *Store) FileAt(path string) (f File, err error) {
	err = s.view(func(t txn) error {
		_, f, err = t.fileAt(path)
		return err
	})
	if err != nil {
		return File{}, fmt.Errorf("file %s: %w", path, err)
	}
	return f, checkStamp(f.Path, f.Stamp)
}

func (t txn) fileAt(path string) (id fileID, f File, err error) {
	err = t.value(textKey(pathKey, path), func(v []byte) error {
		n, err := numberField(v)
		id = fileID(n)
		return err
	})
	if err != nil {
		return 0, File{}, err
	}
	f, err = t.file(id)
	return id, f, err
}

func (t txn) file(id fileID) (f File, err error) {
	err = t.value(numberKey(fileKey, uint64(id)), func(v []byte) error {
		f, err = decodeFile(v)
		return err
	})
	return f, err
}

// Files returns the files that were added with this video. They may have
// changed since.
func (s *Store) Files(video cid.Cid) (files []File, err error) {
	d, err := manifest.NodeDigest(video)
	if err != nil {
		return nil, err
	}
	err = s.view(func(t txn) error {
		for id := range t.filesOf(d) {
			f, err := t.file(id)
			if err != nil {
				return err
			}
			files = append(files, f)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("files of %s: %w", video, err)
	}
	return files, nil
}

// filesOf yields the numbers of the files that hold video d.
func (t txn) filesOf(d manifest.Digest) func(yield func(fileID) bool) {
	prefix := digestKey(contentKey, d)
	return func(yield func(fileID) bool) {
		for key := range t.keys(prefix, prefix) {
			if n, ok := keyNumber(keyTail(key)); ok && !yield(fileID(n)) {
				return
			}
		}
	}
}

// ForgetFile removes the file at path from the index, but not from the disk.
// Its video stays in the catalogue. A path that was never added is
// fs.ErrNotExist.
func (s *Store) ForgetFile(path string) error {
	var old []orphan
	err := s.remove(func(t txn) error {
		id, f, err := t.fileAt(path)
		if err != nil {
			return err
		}
		o, err := t.forget(id, f)
		old = append(old, o)
		return err
	})
	if err != nil {
		return fmt.Errorf("forget file %s: %w", path, err)
	}
	s.forgotten(old)
	return nil
}

// forget takes a file record out. What it leaves is an orphan.
func (t txn) forget(id fileID, f File) (orphan, error) {
	d, err := manifest.NodeDigest(f.Video)
	if err != nil {
		return orphan{}, err
	}
	if at, _, err := t.fileAt(f.Path); err == nil && at == id {
		if err := t.Delete(textKey(pathKey, f.Path)); err != nil {
			return orphan{}, err
		}
		t.noteForgotten(f.Path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return orphan{}, err
	}
	for _, key := range [][]byte{numberKey(fileKey, uint64(id)), digestFileKey(contentKey, d, id)} {
		if err := t.Delete(key); err != nil {
			return orphan{}, err
		}
	}
	return t.orphan(id, d)
}
