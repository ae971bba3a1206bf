package blockstore_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// fetching is a video on its way: a part file, whole already, and the outboards
// that peers' proofs would have filled.
type fetching struct {
	m           *manifest.Manifest
	outboards   map[int]manifest.Outboard
	part, final string
	tail        []byte
}

// startFetch makes a part file of one block of zeros and tail, and its receipt.
func startFetch(t *testing.T, s *blockstore.Store, dir string, tail []byte) fetching {
	t.Helper()
	f := fetching{outboards: make(map[int]manifest.Outboard), final: filepath.Join(dir, "v"), part: filepath.Join(dir, "v.part"), tail: tail}
	sparse(t, f.part, blockSize+int64(len(tail)), tail)
	f.m = split(t, f.part, func(b manifest.Block, o manifest.Outboard) error {
		f.outboards[b.Index] = o
		return nil
	})
	if err := s.PutManifest(f.m); err != nil {
		t.Fatal(err)
	}
	st := stamp(t, f.part)
	if err := s.PutReceipt(blockstore.Receipt{Video: f.m.CID(), Part: f.part, Final: f.final, Inode: st.Inode, Device: st.Device}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f fetching) update(block int, mask uint32) blockstore.ReceiptUpdate {
	return blockstore.ReceiptUpdate{Block: f.m.Block(block), Mask: mask, Outboard: f.outboards[block]}
}

func (f fetching) full(block int) blockstore.ReceiptUpdate {
	return f.update(block, manifest.AllHoldings(f.m.Size()).Mask(block))
}

func (f fetching) commit(t *testing.T, s *blockstore.Store, updates ...blockstore.ReceiptUpdate) {
	t.Helper()
	if err := s.CommitReceipt(f.m.CID(), updates); err != nil {
		t.Fatal(err)
	}
}

func TestReceiptResumes(t *testing.T) {
	dir := t.TempDir()
	s, err := blockstore.Open(dir, blockstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := startFetch(t, s, t.TempDir(), noise(1, 3*pieceSize))
	f.commit(t, s, f.update(0, 1|1<<31), f.update(1, 2))
	f.commit(t, s, f.full(0))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, dir)
	r, err := s.Receipt(f.m.CID())
	if err != nil {
		t.Fatal(err)
	}
	st := stamp(t, f.part)
	if r.Part != f.part || r.Final != f.final || r.Inode != st.Inode || r.Device != st.Device {
		t.Errorf("receipt is %+v", r)
	}
	if len(r.Masks) != 2 || r.Masks[0] != 1<<32-1 || r.Masks[1] != 2 {
		t.Errorf("masks are %v", r.Masks)
	}
	for i := range 2 {
		o, err := s.ReceiptOutboard(f.m.CID(), f.m.Block(i))
		if err != nil || !bytes.Equal(o, f.outboards[i]) {
			t.Errorf("outboard of block %d: %d bytes, %v", i, len(o), err)
		}
	}
	if held, err := s.Holdings(f.m); err != nil || held.Bytes() != 0 {
		t.Errorf("%d bytes count as held before the finish, %v", held.Bytes(), err)
	}
}

func TestReceiptStartedAnewKeepsNoMasks(t *testing.T) {
	s := open(t, t.TempDir())
	f := startFetch(t, s, t.TempDir(), noise(1, pieceSize))
	f.commit(t, s, f.full(0), f.full(1))
	if err := s.PutReceipt(blockstore.Receipt{Video: f.m.CID(), Part: f.part + "2", Final: f.final, Inode: 1, Device: 2}); err != nil {
		t.Fatal(err)
	}
	r, err := s.Receipt(f.m.CID())
	if err != nil || len(r.Masks) != 0 || r.Part != f.part+"2" {
		t.Errorf("receipt is %+v, %v", r, err)
	}
	if _, err := s.Manifest(t.Context(), f.m.CID()); err != nil {
		t.Errorf("manifest: %v", err)
	}
}

func TestReceiptRefuses(t *testing.T) {
	s := open(t, t.TempDir())
	f := startFetch(t, s, t.TempDir(), noise(1, 2*pieceSize))
	foreign := f.update(1, 1)
	foreign.Outboard = f.outboards[0]
	outside := f.update(1, 1)
	outside.Block.Index = -1
	for name, u := range map[string]blockstore.ReceiptUpdate{
		"mask beyond the last piece": f.update(1, 4),
		"outboard of another length": foreign,
		"negative block":             outside,
	} {
		if err := s.CommitReceipt(f.m.CID(), []blockstore.ReceiptUpdate{u}); err == nil {
			t.Errorf("%s: committed", name)
		}
	}
	if r, err := s.Receipt(f.m.CID()); err != nil || len(r.Masks) != 0 {
		t.Errorf("masks %v, %v", r.Masks, err)
	}
}

func TestFinish(t *testing.T) {
	s := open(t, t.TempDir())
	f := startFetch(t, s, t.TempDir(), noise(1, 2*pieceSize))
	f.commit(t, s, f.full(0), f.update(1, 1))
	file := blockstore.File{Path: f.final, Origin: blockstore.Fetched}
	video := blockstore.Video{Name: "v", Signer: "someone"}
	if err := os.Rename(f.part, f.final); err != nil {
		t.Fatal(err)
	}
	if err := s.Finish(f.m, file, video); err == nil {
		t.Fatal("finished with a piece missing")
	}
	f.commit(t, s, f.full(1))
	for range 2 { // it may be repeated
		if err := s.Finish(f.m, file, video, blockstore.Job{ID: "j", Kind: "transcribe", Video: f.m.CID()}); err != nil {
			t.Fatal(err)
		}
	}
	read(t, s, f.m.Block(1), 1, f.tail[pieceSize:])
	if held, err := s.Holdings(f.m); err != nil || !held.Complete() {
		t.Errorf("not held: %v", err)
	}
	if got, err := s.FileAt(f.final); err != nil || got.Origin != blockstore.Fetched || got.Stamp != stamp(t, f.final) {
		t.Errorf("file is %+v, %v", got, err)
	}
	if _, err := s.Receipt(f.m.CID()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("receipt: %v", err)
	}
	if _, err := s.Job("j"); err != nil {
		t.Error(err)
	}
	if got, last := names(t, s, 0); len(got) != 1 || last != 1 {
		t.Errorf("catalogue has %v, last number %d", got, last)
	}
}

func TestFinishWithoutReceipt(t *testing.T) {
	s := open(t, t.TempDir())
	path := write(t, filepath.Join(t.TempDir(), "a"), noise(1, 10))
	err := s.Finish(manifestOf(t, path), blockstore.File{Path: path}, blockstore.Video{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("finish: %v, want fs.ErrNotExist", err)
	}
	if got, _ := names(t, s, 0); len(got) != 0 {
		t.Errorf("catalogue has %v", got)
	}
}

func TestEmptyVideo(t *testing.T) {
	s := open(t, t.TempDir())
	path := write(t, filepath.Join(t.TempDir(), "empty"), nil)
	m := add(t, s, path)
	if held, err := s.Holdings(m); err != nil || !held.Complete() {
		t.Errorf("not held: %v", err)
	}
	if _, err := s.RemoveVideo(m.CID()); err != nil {
		t.Error(err)
	}
}

func TestDropReceiptFreesIt(t *testing.T) {
	s := open(t, t.TempDir())
	f := startFetch(t, s, t.TempDir(), noise(1, pieceSize))
	f.commit(t, s, f.full(0), f.full(1))
	if err := s.DropReceipt(f.m.CID()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Outboard(f.m.Block(0).Digest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("proof: %v", err)
	}
	if _, err := s.ManifestNode(f.m.CID()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("manifest: %v", err)
	}
	if freed, err := s.GC(t.Context()); err != nil || freed.Items != 0 {
		t.Errorf("%+v was left, %v", freed, err)
	}
}
