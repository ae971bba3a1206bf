package blockstore

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/manifest"
)

// MaxRecording is the longest Recording of a video in bytes.
const MaxRecording = 64

// Video is one entry of the catalogue.
type Video struct {
	CID       cid.Cid
	Name      string    // as people know it
	MediaType string    // such as video/mp4, or ""
	Size      int64     // in bytes
	Blocks    int       // follows from Size
	Added     time.Time // to this catalogue
	Seq       uint64    // the entry's number; set by the store, larger after every change
	State     string    // the daemon's word for how far it is
	Signer    string    // peer ID whose ticket brought it, or ""
	RelPath   string    // below the folder it was added from, slash-separated, or ""
	Recording string    // identity of a recording over all the manifests it has while it is written, or ""; at most MaxRecording bytes
}

func encodeVideo(v Video, d manifest.Digest) ([]byte, error) {
	return encodeRecord(videoRecord{
		Video: d[:], Name: v.Name, MediaType: v.MediaType, Size: v.Size, Added: nanoseconds(v.Added),
		State: v.State, Signer: v.Signer, RelPath: v.RelPath, Recording: v.Recording,
	})
}

func decodeVideo(data []byte, seq uint64) (Video, error) {
	var r videoRecord
	if err := decodeRecord(data, &r); err != nil {
		return Video{}, err
	}
	d, err := digestField(r.Video)
	if err != nil {
		return Video{}, err
	}
	if r.Size < 0 || r.Size > manifest.MaxVideoSize {
		return Video{}, fmt.Errorf("%w: video of %d bytes", errRecord, r.Size)
	}
	if err := checkRecording(r.Recording); err != nil {
		return Video{}, fmt.Errorf("%w: %w", errRecord, err)
	}
	return Video{
		CID: videoCID(d), Name: r.Name, MediaType: r.MediaType, Size: r.Size, Blocks: manifest.NumBlocks(r.Size),
		Added: timeAt(r.Added), Seq: seq, State: r.State, Signer: r.Signer, RelPath: r.RelPath, Recording: r.Recording,
	}, nil
}

// PutVideo adds v to the catalogue, or replaces the entry with its CID. The
// entry gets the next number, so that whoever follows the catalogue sees the
// change; an entry that is there just like that keeps its own. A zero Added
// means what the entry says already, or now.
func (s *Store) PutVideo(v Video) error {
	d, err := checkVideo(v)
	if err != nil {
		return err
	}
	err = s.update(func(t txn) error {
		delete(s.fresh, d)
		_, err := t.putVideo(d, v)
		return err
	})
	if err != nil {
		return fmt.Errorf("catalogue entry %s: %w", v.CID, err)
	}
	return nil
}

// checkVideo returns the digest of v's manifest.
func checkVideo(v Video) (manifest.Digest, error) {
	d, err := manifest.NodeDigest(v.CID)
	if err == nil && (v.Size < 0 || v.Size > manifest.MaxVideoSize) {
		err = fmt.Errorf("catalogue entry %s: %d bytes is no size of a video", v.CID, v.Size)
	}
	return d, err
}

// putVideo returns the entry as it is now.
func (t txn) putVideo(d manifest.Digest, v Video) (Video, error) {
	if err := checkRecording(v.Recording); err != nil {
		return Video{}, err
	}
	old, err := t.video(d)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Video{}, err
	}
	known := err == nil
	v.CID = videoCID(d)
	if v.Added.IsZero() {
		v.Added = old.Added
	}
	if v.Added.IsZero() {
		v.Added = time.Now()
	}
	if known && sameVideo(old, v) {
		return old, nil
	}
	if known {
		err = errors.Join(t.Delete(numberKey(logKey, old.Seq)), t.noteVideo(d, old, v))
	} else {
		err = t.unbury(d)
	}
	if err != nil {
		return Video{}, err
	}
	return v, t.enlist(d, v)
}

// enlist appends v to the log, where no other entry of it is.
func (t txn) enlist(d manifest.Digest, v Video) error {
	seq, err := t.nextSeq()
	if err != nil {
		return err
	}
	record, err := encodeVideo(v, d)
	if err != nil {
		return err
	}
	if err := t.Set(numberKey(logKey, seq), record); err != nil {
		return err
	}
	t.effects.listed = true
	return t.Set(digestKey(entryKey, d), encodeNumber(seq))
}

// sameVideo compares what the caller of PutVideo sets.
func sameVideo(a, b Video) bool {
	return a.Name == b.Name && a.MediaType == b.MediaType && a.Size == b.Size && a.Added.Equal(b.Added) &&
		a.State == b.State && a.Signer == b.Signer && a.RelPath == b.RelPath && a.Recording == b.Recording
}

// nextSeq counts up. The count outlives the entries, so a number is never given
// to a second entry.
func (t txn) nextSeq() (seq uint64, err error) {
	key := []byte{sequenceKey}
	err = t.value(key, func(v []byte) (err error) {
		seq, err = numberField(v)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	return seq + 1, t.Set(key, encodeNumber(seq+1))
}

func (t txn) video(d manifest.Digest) (v Video, err error) {
	var seq uint64
	err = t.value(digestKey(entryKey, d), func(value []byte) (err error) {
		seq, err = numberField(value)
		return err
	})
	if err != nil {
		return Video{}, err
	}
	err = t.value(numberKey(logKey, seq), func(value []byte) (err error) {
		v, err = decodeVideo(value, seq)
		return err
	})
	return v, err
}

// Video returns the catalogue's entry; fs.ErrNotExist if there is none.
func (s *Store) Video(c cid.Cid) (v Video, err error) {
	d, err := manifest.NodeDigest(c)
	if err != nil {
		return Video{}, err
	}
	err = s.view(func(t txn) error {
		v, err = t.video(d)
		return err
	})
	if err != nil {
		return Video{}, fmt.Errorf("catalogue entry %s: %w", c, err)
	}
	return v, nil
}

// Videos yields the catalogue in the order of Seq. It ends with the first
// error. An entry that changes meanwhile may come twice.
func (s *Store) Videos() iter.Seq2[Video, error] { return s.VideosSince(0) }

// VideosSince yields the entries with a number above seq, in that order. Whoever
// passes the last number it saw gets every entry that is new or changed since.
func (s *Store) VideosSince(seq uint64) iter.Seq2[Video, error] {
	return func(yield func(Video, error) bool) {
		if seq+1 == 0 {
			return
		}
		for e, err := range s.scan([]byte{logKey}, numberKey(logKey, seq+1)) {
			if err != nil {
				yield(Video{}, err)
				return
			}
			v, err := videoAt(e)
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

func videoAt(e entry) (Video, error) {
	seq, err := numberField(e.key[1:])
	if err != nil {
		return Video{}, err
	}
	return decodeVideo(e.value, seq)
}
