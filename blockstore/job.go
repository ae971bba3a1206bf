package blockstore

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/manifest"
)

// maxJobID is the longest ID of a job in bytes.
const maxJobID = 256

// Job is one piece of work that outlives the process. What Kind, State and Spec
// mean is the daemon's affair.
type Job struct {
	ID        string // 1 to 256 bytes
	Kind      string
	Video     cid.Cid // cid.Undef: of no video
	State     string
	Spec      []byte // at most about 60 KiB
	Attempts  int
	NotBefore time.Time // earliest next attempt; zero: now
	Created   time.Time
	Updated   time.Time
	Message   string // of the last attempt
}

func encodeJob(j Job) ([]byte, error) {
	var video []byte
	if j.Video.Defined() {
		d, err := manifest.NodeDigest(j.Video)
		if err != nil {
			return nil, err
		}
		video = d[:]
	}
	return encodeRecord(jobRecord{
		Kind: j.Kind, Video: video, State: j.State, Spec: j.Spec, Attempts: j.Attempts, NotBefore: nanoseconds(j.NotBefore),
		Created: nanoseconds(j.Created), Updated: nanoseconds(j.Updated), Message: j.Message,
	})
}

func decodeJob(id string, data []byte) (Job, error) {
	var r jobRecord
	if err := decodeRecord(data, &r); err != nil {
		return Job{}, err
	}
	if r.Attempts < 0 || r.Attempts > math.MaxInt32 {
		return Job{}, fmt.Errorf("%w: %d attempts", errRecord, r.Attempts)
	}
	j := Job{
		ID: id, Kind: r.Kind, State: r.State, Spec: r.Spec, Attempts: r.Attempts, NotBefore: timeAt(r.NotBefore),
		Created: timeAt(r.Created), Updated: timeAt(r.Updated), Message: r.Message,
	}
	if len(r.Video) == 0 {
		return j, nil
	}
	d, err := digestField(r.Video)
	if err != nil {
		return Job{}, err
	}
	j.Video = videoCID(d)
	return j, nil
}

// PutJob stores j, in place of one with its ID.
func (s *Store) PutJob(j Job) error {
	return s.Apply(StoreJob(j))
}

func (t txn) putJob(j Job) error {
	if len(j.ID) == 0 || len(j.ID) > maxJobID {
		return fmt.Errorf("job ID of %d bytes, want 1 to %d", len(j.ID), maxJobID)
	}
	record, err := encodeJob(j)
	if err != nil {
		return err
	}
	old, err := t.job(j.ID)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errRecord) {
		return err
	}
	t.noteJob(old, j)
	return t.Set(textKey(jobKey, j.ID), record)
}

func (t txn) dropJob(id string) error {
	old, err := t.job(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil && !errors.Is(err, errRecord) {
		return err
	}
	t.noteJob(old, Job{})
	return t.Delete(textKey(jobKey, id))
}

// Job returns the job with this ID; fs.ErrNotExist if there is none.
func (s *Store) Job(id string) (j Job, err error) {
	err = s.view(func(t txn) error {
		j, err = t.job(id)
		return err
	})
	if err != nil {
		return Job{}, fmt.Errorf("job %.64q: %w", id, err)
	}
	return j, nil
}

func (t txn) job(id string) (j Job, err error) {
	err = t.value(textKey(jobKey, id), func(v []byte) error {
		j, err = decodeJob(id, v)
		return err
	})
	return j, err
}

// Jobs yields all jobs in the order of their IDs. It ends with the first error.
func (s *Store) Jobs() iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		for e, err := range s.scan([]byte{jobKey}, []byte{jobKey}) {
			if err != nil {
				yield(Job{}, err)
				return
			}
			j, err := decodeJob(string(e.key[1:]), e.value)
			if !yield(j, err) || err != nil {
				return
			}
		}
	}
}

// RemoveJob removes a job. One that is not there is no error.
func (s *Store) RemoveJob(id string) error {
	return s.Apply(ForgetJob(id))
}
