package blockstore

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/manifest"
)

func checkRecording(recording string) error {
	if len(recording) > MaxRecording {
		return fmt.Errorf("recording named by %d bytes, limit %d", len(recording), MaxRecording)
	}
	return nil
}

// RecordingReceipt returns the receipt of whichever version of a recording is
// being fetched; fs.ErrNotExist if there is none, and for "". All receipts are
// looked at: there are few.
func (s *Store) RecordingReceipt(recording string) (r Receipt, err error) {
	err = s.view(func(t txn) error {
		versions, err := t.versions(recording)
		if err != nil {
			return err
		}
		if len(versions) == 0 {
			return fs.ErrNotExist
		}
		r, err = t.wholeReceipt(versions[0])
		return err
	})
	if err != nil {
		return Receipt{}, fmt.Errorf("receipt of recording %.64q: %w", recording, err)
	}
	return r, nil
}

// NameReceipt says that the video of a receipt is a version of a recording,
// whatever the receipt said before. A receipt of another version ends. Without
// a receipt it is fs.ErrNotExist.
func (s *Store) NameReceipt(video cid.Cid, recording string) error {
	d, err := manifest.NodeDigest(video)
	if err != nil {
		return err
	}
	var old []orphan
	err = s.update(func(t txn) error {
		r, err := t.receipt(d)
		if err != nil {
			return err
		}
		if err := checkRecording(recording); err != nil {
			return err
		}
		if old, err = t.endRecording(recording, d); err != nil {
			return err
		}
		r.Recording = recording
		return t.putReceipt(d, r)
	})
	if err != nil {
		return fmt.Errorf("receipt of %s: %w", video, err)
	}
	s.forgotten(old)
	return nil
}

// versions lists the videos whose receipts are of a recording. There is one at
// most.
func (t txn) versions(recording string) (videos []manifest.Digest, err error) {
	if recording == "" {
		return nil, nil
	}
	prefix := []byte{receiptKey}
	var receipts []manifest.Digest
	for key := range t.keys(prefix, prefix) {
		if d, ok := keyDigest(key); ok {
			receipts = append(receipts, d)
		}
	}
	for _, d := range receipts { // one iterator at a time
		r, err := t.receipt(d)
		if err != nil {
			return nil, err
		}
		if r.Recording == recording {
			videos = append(videos, d)
		}
	}
	return videos, nil
}

// endRecording takes out the receipt of a recording unless it is that of video
// d.
func (t txn) endRecording(recording string, d manifest.Digest) (old []orphan, err error) {
	versions, err := t.versions(recording)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		if v == d {
			continue
		}
		ended, err := t.endReceipt(v)
		if err != nil {
			return nil, err
		}
		old = append(old, ended...)
	}
	return old, nil
}

// ReplaceVideo puts v as PutVideo does, in place of an entry of an earlier
// version of the same recording, in one step. Unlike RemoveVideo it leaves no
// removal in the log: whoever follows the catalogue knows by v.Recording what v
// replaces. The manifest of old is dropped if nothing else refers to it; a
// receipt of old stays, for AdvanceReceipt. An entry with files on record stays
// too, so that the files do. An old that is undefined, v itself or not listed is
// PutVideo.
func (s *Store) ReplaceVideo(old cid.Cid, v Video) error {
	d, err := checkVideo(v)
	if err != nil {
		return err
	}
	if !old.Defined() || old == v.CID {
		return s.PutVideo(v)
	}
	before, err := manifest.NodeDigest(old)
	if err != nil {
		return err
	}
	var left []orphan
	err = s.update(func(t txn) error {
		if left, err = s.delist(t, before); err != nil {
			return err
		}
		delete(s.fresh, d)
		_, err = t.putVideo(d, v)
		return err
	})
	if err != nil {
		return fmt.Errorf("catalogue entry %s in place of %s: %w", v.CID, old, err)
	}
	s.forgotten(left)
	return nil
}

// delist takes the entry of a video without files out of the log. No removal
// takes its place.
func (s *Store) delist(t txn, d manifest.Digest) ([]orphan, error) {
	v, err := t.video(d)
	if errors.Is(err, fs.ErrNotExist) || t.hasUnder(digestKey(contentKey, d)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, key := range [][]byte{numberKey(logKey, v.Seq), digestKey(entryKey, d)} {
		if err := t.Delete(key); err != nil {
			return nil, err
		}
	}
	t.effects.listed = true
	delete(s.fresh, d)
	return t.leaveManifest(d)
}

// leaveManifest notes that the manifest of video d may be of no more use: a file
// number under which nothing is has whoever sweeps it look.
func (t txn) leaveManifest(d manifest.Digest) ([]orphan, error) {
	o, err := t.orphan(anyNumber(), d)
	return []orphan{o}, err
}
