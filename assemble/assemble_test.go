package assemble_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

func TestFetch(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), small(), filepath.Join(t.TempDir(), "new", "folder")
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "talk.mp4"}, assemble.Config{ReceiptBytes: 4 << 20})
	wantNames(t, dir, "talk.mp4.part")
	if info, err := os.Stat(f.Part()); err != nil || info.Size() != smallSize {
		t.Fatalf("part file: %v, %v; want %d bytes", info, err, smallSize)
	}
	ctx, stop := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return f.Run(ctx) })
	check(t, s.putAll(f))
	stop()
	check(t, g.Wait())

	job := blockstore.Job{ID: "transcribe-1", Kind: "transcribe", Video: s.m.CID(), State: "waiting"}
	path, err := f.Finish(t.Context(), blockstore.Video{MediaType: "video/mp4"}, job)
	check(t, err)
	if want := filepath.Join(dir, "talk.mp4"); path != want || f.Path() != want || !f.Done() {
		t.Fatalf("finished at %s, path %s, done %v; want %s", path, f.Path(), f.Done(), want)
	}
	wantFile(t, path, s.data)
	wantNames(t, dir, "talk.mp4")
	wantRecorded(t, store, path, s)
	if _, err := store.Job("transcribe-1"); err != nil {
		t.Fatal(err)
	}
	again, err := f.Finish(t.Context(), blockstore.Video{MediaType: "video/mp4"}, job)
	if err != nil || again != path {
		t.Fatalf("second Finish: %s, %v", again, err)
	}
	wantServed(t, f, s)
}

// wantServed reads every piece of f with its proof.
func wantServed(t *testing.T, f *assemble.File, s *sample) {
	t.Helper()
	buf := make([]byte, manifest.PieceSize)
	for _, r := range s.pieces() {
		data, proof, err := f.ReadPiece(t.Context(), r.block, r.piece, buf, nil)
		check(t, err)
		b := s.m.Block(r.block)
		check(t, manifest.CheckPiece(b.Digest, b.Len, r.piece, data, proof))
	}
}

func TestEmptyVideo(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), mustSample(nil), t.TempDir()
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "empty"}, assemble.Config{})
	if f.Done() {
		t.Fatal("done before the file has its name")
	}
	check(t, f.FillLocal(t.Context(), nil))
	path := finish(t, f)
	wantFile(t, path, nil)
	wantNames(t, dir, "empty")
	wantRecorded(t, store, path, s)
	if f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "empty"}, assemble.Config{}); !f.Done() {
		t.Fatal("not done though the file is there")
	}
}

func TestFinishRefusesMissingPieces(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), t.TempDir()
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	check(t, s.put(f, s.pieces()[1:]...))
	_, err := f.Finish(t.Context(), blockstore.Video{})
	wantErr(t, err, assemble.ErrIncomplete)
	wantNames(t, dir, "a.part")
	check(t, s.put(f, s.pieces()[0]))
	wantFile(t, finish(t, f), s.data)
}

func TestRemove(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), t.TempDir()
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	check(t, s.put(f, s.pieces()[:3]...))
	check(t, f.Checkpoint())
	check(t, f.Remove())
	wantNames(t, dir)
	_, err := store.Receipt(s.m.CID())
	wantErr(t, err, fs.ErrNotExist)
	check(t, f.Close())
	_, err = f.Finish(t.Context(), blockstore.Video{})
	wantErr(t, err, fs.ErrClosed)
}

func TestRemoveKeepsWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), t.TempDir()
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	check(t, os.Remove(f.Part()))
	check(t, os.WriteFile(f.Part(), []byte("mine"), 0o644))
	check(t, f.Remove())
	wantFile(t, filepath.Join(dir, "a.part"), []byte("mine"))
}

func TestHoldings(t *testing.T) {
	t.Parallel()
	store, s := newStore(t), small()
	f := openFile(t, store, s, assemble.Target{Dir: t.TempDir(), Name: "a"}, assemble.Config{})
	have, changed := f.Holdings()
	if have.Pieces() != 0 {
		t.Fatalf("%d pieces held at the start", have.Pieces())
	}
	select {
	case <-changed:
		t.Fatal("change announced before there was one")
	default:
	}
	check(t, s.put(f, pieceRef{1, 2}))
	<-changed
	if have.Pieces() != 0 {
		t.Fatal("a copy of the holdings changed")
	}
	have, changed = f.Holdings()
	if have.Pieces() != 1 || !have.Has(1, 2) {
		t.Fatalf("holdings after one piece: %d pieces, mask %b", have.Pieces(), have.Mask(1))
	}
	check(t, s.put(f, pieceRef{1, 2}))
	select {
	case <-changed:
		t.Fatal("change announced for a piece that was held")
	default:
	}
}

func TestReadPieceWhileWriting(t *testing.T) {
	t.Parallel()
	store, s := newStore(t), small()
	f := openFile(t, store, s, assemble.Target{Dir: t.TempDir(), Name: "a"}, assemble.Config{ReceiptBytes: 1 << 20, ReceiptEvery: time.Millisecond})
	_, _, err := f.ReadPiece(t.Context(), 0, 0, make([]byte, manifest.PieceSize), nil)
	wantErr(t, err, fs.ErrNotExist)
	ctx, stop := context.WithCancel(t.Context())
	var g, readers errgroup.Group
	g.Go(func() error { return f.Run(ctx) })
	for range 3 {
		readers.Go(func() error { return readAll(ctx, f, s) })
	}
	check(t, s.putAll(f))
	check(t, readers.Wait())
	stop()
	check(t, g.Wait())
	finish(t, f)
}

// readAll follows the holdings and reads each piece once it is held.
func readAll(ctx context.Context, f *assemble.File, s *sample) error {
	buf, proof := make([]byte, manifest.PieceSize), []byte(nil)
	read := make(map[pieceRef]bool)
	for len(read) < len(s.pieces()) {
		have, changed := f.Holdings()
		for _, r := range s.pieces() {
			if read[r] || !have.Has(r.block, r.piece) {
				continue
			}
			data, p, err := f.ReadPiece(ctx, r.block, r.piece, buf, proof)
			if err != nil {
				return err
			}
			want, wantProof := s.piece(r)
			if !bytes.Equal(data, want) || !bytes.Equal(p, wantProof) {
				return errors.New("served other bytes than were put")
			}
			proof, read[r] = p, true
		}
		if len(read) < len(s.pieces()) {
			<-changed
		}
	}
	return nil
}

// A piece that rots on disk is not served and is fetched again.
func TestRottenPieceIsGivenUp(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), t.TempDir()
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	check(t, s.putAll(f))
	check(t, f.Checkpoint())
	corrupt(t, f.Part(), 2*manifest.PieceSize+100)
	_, _, err := f.ReadPiece(t.Context(), 0, 2, make([]byte, manifest.PieceSize), nil)
	wantErr(t, err, manifest.ErrCorrupt)
	_, err = f.Finish(t.Context(), blockstore.Video{})
	wantErr(t, err, assemble.ErrIncomplete)
	check(t, f.Close())
	f = openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	if have, _ := f.Holdings(); have.Has(0, 2) || have.Pieces() != len(s.pieces())-1 {
		t.Fatalf("after reopening: %d pieces, rotten one held: %v", have.Pieces(), have.Has(0, 2))
	}
	check(t, s.put(f, pieceRef{0, 2}))
	wantFile(t, finish(t, f), s.data)
}

// corrupt changes one byte of a file in place.
func corrupt(t *testing.T, path string, offset int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	defer file.Close()
	var b [1]byte
	_, err = file.ReadAt(b[:], offset)
	check(t, err)
	b[0] ^= 1
	_, err = file.WriteAt(b[:], offset)
	check(t, err)
}

func TestPutRefusesWrongBytes(t *testing.T) {
	t.Parallel()
	store, s := newStore(t), tiny()
	f := openFile(t, store, s, assemble.Target{Dir: t.TempDir(), Name: "a"}, assemble.Config{})
	data, proof := s.piece(pieceRef{0, 3})
	flipped := append([]byte(nil), data...)
	flipped[77] ^= 4
	badProof := append([]byte(nil), proof...)
	badProof[40] ^= 1
	tests := []struct {
		name        string
		piece       int
		data, proof []byte
	}{
		{"one bit of the data", 3, flipped, proof},
		{"one bit of the proof", 3, data, badProof},
		{"short data", 3, data[:100], proof},
		{"no data", 3, nil, proof},
		{"no proof", 3, data, nil},
		{"another piece", 4, data, proof},
		{"piece beyond the last", 6, data, proof},
		{"negative piece", -1, data, proof},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantErr(t, f.Put(t.Context(), 0, tt.piece, tt.data, tt.proof), manifest.ErrCorrupt)
		})
	}
	for _, block := range []int{-1, 1} {
		if err := f.Put(t.Context(), block, 0, data, proof); err == nil {
			t.Fatalf("block %d was taken", block)
		}
	}
	if have, _ := f.Holdings(); have.Pieces() != 0 {
		t.Fatalf("%d pieces held", have.Pieces())
	}
	wantFile(t, f.Part(), make([]byte, tinySize)) // nothing was written
}

// Many writers of one piece end with one write, and all of them after it.
func TestPutSamePieceTogether(t *testing.T) {
	t.Parallel()
	store, s := newStore(t), tiny()
	f := openFile(t, store, s, assemble.Target{Dir: t.TempDir(), Name: "a"}, assemble.Config{})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if err := s.put(f, pieceRef{0, 0}); err != nil {
				t.Error(err)
			}
			if have, _ := f.Holdings(); !have.Has(0, 0) {
				t.Error("Put returned before the piece was held")
			}
		})
	}
	wg.Wait()
	// Held now, so not even the bytes are looked at.
	check(t, f.Put(t.Context(), 0, 0, nil, nil))
}

func TestPutUnaligned(t *testing.T) {
	t.Parallel()
	store, s := newStore(t), tiny()
	f := openFile(t, store, s, assemble.Target{Dir: t.TempDir(), Name: "a"}, assemble.Config{})
	for _, r := range s.pieces() {
		data, proof := s.piece(r)
		shifted := append(make([]byte, 1, len(data)+1), data...)[1:]
		check(t, f.Put(t.Context(), r.block, r.piece, shifted, proof))
	}
	wantFile(t, finish(t, f), s.data)
}

// Without Run, receipts are committed all the same, and few trees stay.
func TestBacklogIsBounded(t *testing.T) {
	t.Parallel()
	store, s := newStore(t), tiny()
	f := openFile(t, store, s, assemble.Target{Dir: t.TempDir(), Name: "a"}, assemble.Config{ReceiptBytes: 1 << 20})
	check(t, s.put(f, s.pieces()[:4]...))
	r, err := store.Receipt(s.m.CID())
	check(t, err)
	if r.Masks[0] != 0xf {
		t.Fatalf("receipt after four pieces has mask %b", r.Masks[0])
	}
}

// A part file that vanishes is noticed, and nothing is recorded of it.
func TestPartVanishes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		vanish func(dir, part string) error
	}{
		{"part removed", func(_, part string) error { return os.Remove(part) }},
		{"folder removed", func(dir, _ string) error { return os.RemoveAll(dir) }},
		{"part replaced", func(_, part string) error {
			return errors.Join(os.Rename(part, part+".old"), os.WriteFile(part, make([]byte, tinySize), 0o644))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, s, dir := newStore(t), tiny(), filepath.Join(t.TempDir(), "d")
			f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
			check(t, s.put(f, s.pieces()[1:]...))
			check(t, tt.vanish(dir, f.Part()))
			_, err := f.Finish(t.Context(), blockstore.Video{})
			wantErr(t, err, assemble.ErrPartLost)
			wantErr(t, s.put(f, s.pieces()[0]), assemble.ErrPartLost)
			if !strings.Contains(err.Error(), f.Part()) {
				t.Fatalf("error does not name the part file: %v", err)
			}
			r, err := store.Receipt(s.m.CID())
			if err != nil || len(r.Masks) != 0 {
				t.Fatalf("receipt has %d blocks, %v", len(r.Masks), err)
			}
			check(t, f.Close())
			f = openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
			check(t, s.putAll(f))
			wantFile(t, finish(t, f), s.data)
		})
	}
}
