package blockstore

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/vidsync/vidsync/manifest"
)

// Whatever is on the disk, a decoder returns an error or a record that reads
// back the same once written again.

func FuzzFile(f *testing.F) {
	d := manifest.Digest{1}
	seed, err := encodeFile(File{Path: "/a/\xff", Stamp: Stamp{1, 2, 3, 4, 5}, Origin: Added, When: time.Unix(1, 2)}, d)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := decodeFile(data)
		if err != nil {
			return
		}
		d, err := manifest.NodeDigest(file.Video)
		if err != nil {
			t.Fatal(err)
		}
		again, err := encodeFile(file, d)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeFile(again); err != nil || got != file {
			t.Fatalf("%+v became %+v, %v", file, got, err)
		}
	})
}

func FuzzVideo(f *testing.F) {
	d := manifest.Digest{1}
	seed, err := encodeVideo(Video{Name: "n", MediaType: "video/mp4", Size: 1 << 40, Added: time.Unix(1, 2), State: "s", Signer: "p", RelPath: "a/b", Recording: "r"}, d)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{0xa1, 0x01, 0x40})
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := decodeVideo(data, 7)
		if err != nil {
			return
		}
		d, err := manifest.NodeDigest(v.CID)
		if err != nil {
			t.Fatal(err)
		}
		again, err := encodeVideo(v, d)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeVideo(again, 7); err != nil || got != v {
			t.Fatalf("%+v became %+v, %v", v, got, err)
		}
	})
}

func FuzzReceipt(f *testing.F) {
	seed, err := encodeRecord(receiptRecord{File: 1, Part: "/p", Final: "/f", Inode: 2, Device: 3, Recording: "r"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{0xa1, 0x06, 0x60})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeReceipt(data)
		if err != nil {
			return
		}
		if len(r.Recording) > MaxRecording {
			t.Fatalf("recording of %d bytes", len(r.Recording))
		}
		again, err := encodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeReceipt(again); err != nil || got != r {
			t.Fatalf("%+v became %+v, %v", r, got, err)
		}
	})
}

func FuzzJob(f *testing.F) {
	seed, err := encodeJob(Job{Kind: "k", Video: videoCID(manifest.Digest{1}), State: "s", Spec: []byte{1}, Attempts: 2, NotBefore: time.Unix(1, 2)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{0xa1, 0x05, 0x20})
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := decodeJob("id", data)
		if err != nil {
			return
		}
		again, err := encodeJob(j)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeJob("id", again); err != nil || fmt.Sprint(got) != fmt.Sprint(j) {
			t.Fatalf("%+v became %+v, %v", j, got, err)
		}
	})
}

func FuzzSmallValues(f *testing.F) {
	f.Add(encodePositions([]int{1, 2, 65535}))
	f.Add(encodeMask(3, make(manifest.Outboard, 64)))
	f.Add(encodeNumber(5))
	f.Add(encodeTombs(tombs{3, 4}))
	f.Add([]byte("1\n"))
	f.Add(journalValue([]write{{block: manifest.Block{Digest: manifest.Digest{1}}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if positions, err := decodePositions(data); err == nil && !bytes.Equal(encodePositions(positions), data) {
			t.Fatalf("positions %v came from %x", positions, data)
		}
		if mask, o, err := decodeMask(data); err == nil && !bytes.Equal(encodeMask(mask, o), data) {
			t.Fatalf("mask %x came from %x", mask, data)
		}
		if n, err := decodeTombs(data); err == nil && !bytes.Equal(encodeTombs(n), data) {
			t.Fatalf("count %v came from %x", n, data)
		}
		if n, err := numberField(data); err == nil && !bytes.Equal(encodeNumber(n), data) {
			t.Fatalf("number %d came from %x", n, data)
		}
		if got := journalDigests(data); len(got) != len(data)/digestLen {
			t.Fatalf("%d digests in %d bytes", len(got), len(data))
		}
		if err := parseFormat(data); err == nil && len(data) == 0 {
			t.Fatal("no format is a format")
		}
		if _, err := decodeReceipt(data); err == nil && len(data) == 0 {
			t.Fatal("nothing is a receipt")
		}
	})
}
