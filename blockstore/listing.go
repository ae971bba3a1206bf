package blockstore

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/vidsync/vidsync/manifest"
)

// listingLife is how long a listing goes on in one snapshot of the index. As
// long as one is open, what is overwritten takes up room.
const listingLife = time.Minute

// Listed is a video of the catalogue with what else the index has of it.
type Listed struct {
	Video
	Files []File // that were added with it; they may have changed since
	Job   *Job   // that was asked for; nil if there is none
}

// List yields the catalogue in the order of Seq, each video with its files and
// with the job whose ID is jobs and the video's CID. It ends with the first
// error. It shows the index as it was at the start, and then what was added
// meanwhile. If the consumer takes more than a minute it shows what has changed
// since, too, and an entry that has may come twice.
//
// In memory it has 16 bytes for each file on record, and a page of videos. Files
// that were added one after the other are found beside each other, so this is
// many times as fast as Files for each video.
func (s *Store) List(jobs string) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		l := &listing{jobs: jobs, next: []byte{logKey}, yield: func(v Listed) bool { return yield(v, nil) }}
		start := time.Now()
		err := l.run(s)
		if err == nil && !l.ended {
			l.since = start
			err = l.run(s)
		}
		if err != nil {
			yield(Listed{}, err)
		}
	}
}

// listing is the state of one List.
type listing struct {
	jobs  string
	since time.Time // entries that are older are passed over
	yield func(Listed) bool

	next  []byte // key of the entry to go on with
	ended bool   // by the consumer
}

// run yields the entries from next to the last.
func (l *listing) run(s *Store) error {
	for more := true; more && !l.ended; {
		err := s.view(func(t txn) (err error) {
			more, err = l.snapshot(t)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// snapshot yields entries for as long as a snapshot may be open, and tells
// whether there may be more.
func (l *listing) snapshot(t txn) (more bool, err error) {
	entries, more, err := t.page([]byte{logKey}, l.next)
	if err != nil || len(entries) == 0 {
		return false, err
	}
	of := belongings{txn: t, contents: t.contents()}
	if t.hasUnder(textKey(jobKey, l.jobs)) {
		of.jobs = l.jobs
	}
	for start := time.Now(); ; {
		if err := l.page(of, entries); err != nil || l.ended || !more || time.Since(start) > listingLife {
			return more, err
		}
		if entries, more, err = t.page([]byte{logKey}, l.next); err != nil || len(entries) == 0 {
			return false, err
		}
	}
}

func (l *listing) page(of belongings, entries []entry) error {
	for _, e := range entries {
		v, err := videoAt(e)
		if err != nil {
			return err
		}
		l.next = append(e.key, 0)
		if v.Added.Before(l.since) {
			continue
		}
		listed, err := of.video(v)
		if err != nil {
			return err
		}
		if !l.yield(listed) {
			l.ended = true
			return nil
		}
	}
	return nil
}

// belongings finds what belongs to a video in a snapshot.
type belongings struct {
	txn
	contents []content // of all files
	jobs     string    // empty if there are none
}

func (t belongings) video(v Video) (l Listed, err error) {
	l.Video = v
	if l.Files, err = t.files(v); err != nil || t.jobs == "" {
		return l, err
	}
	j, err := t.job(t.jobs + v.CID.String())
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	l.Job = &j
	return l, err
}

// content says which file holds a video. It is small, as there is one for each
// file: of the video it has the beginning of its digest.
type content struct {
	video uint64
	file  fileID
}

// contents are those of all files, in the order of video. To read them all in
// one go takes a hundredth of the time of looking each up.
func (t txn) contents() (all []content) {
	it := t.NewIterator(badger.IteratorOptions{Prefix: []byte{contentKey}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		d, ok := keyDigest(it.Item().Key())
		if !ok {
			continue
		}
		if n, ok := keyNumber(keyTail(it.Item().Key())); ok {
			all = append(all, content{digestBegin(d), fileID(n)})
		}
	}
	return all
}

func digestBegin(d manifest.Digest) uint64 { return binary.BigEndian.Uint64(d[:]) }

func (t belongings) files(v Video) (files []File, err error) {
	d, err := manifest.NodeDigest(v.CID)
	if err != nil {
		return nil, err
	}
	begin := digestBegin(d)
	at, _ := slices.BinarySearchFunc(t.contents, begin, func(c content, video uint64) int { return cmp.Compare(c.video, video) })
	for ; at < len(t.contents) && t.contents[at].video == begin; at++ {
		f, err := t.file(t.contents[at].file)
		if err != nil {
			return nil, fmt.Errorf("file of %s: %w", v.CID, err)
		}
		if f.Video == v.CID {
			files = append(files, f)
		}
	}
	return files, nil
}
