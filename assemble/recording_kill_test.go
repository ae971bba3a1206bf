package assemble_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// growth is three versions of a recording: a block that stays, and a second that
// grows.
var growth = sync.OnceValue(func() []*sample {
	all := randomBytes(41, manifest.BlockSize+4*manifest.PieceSize+99)
	return []*sample{
		mustSample(all[:manifest.BlockSize+manifest.PieceSize]),
		mustSample(all[:manifest.BlockSize+3*manifest.PieceSize]),
		mustSample(all),
	}
})

// advanceSteps are the steps of a fetch of the first two versions.
var advanceSteps = map[string][]int{
	"put manifest":    {2},
	"put receipt":     {1},
	"allocate":        {2},
	"advance receipt": {1},
	"truncate":        {1},
	"sync dir":        {4}, // of the part, whose size is another
	"commit receipt":  {2},
	"rename":          {1},
	"unmark":          {1},
	"finish":          {1},
}

// recordingChild fetches some of the first version and all of the second.
func recordingChild(dir string, step *stepper) error {
	store, err := blockstore.Open(filepath.Join(dir, "index"), blockstore.Config{})
	if err != nil {
		return err
	}
	step.index = store
	cfg := step.config(recordingConfig("r1"))
	v := growth()
	f, err := assemble.Open(context.Background(), store, v[0].m, killTarget(dir), cfg)
	if err != nil {
		return err
	}
	if err := errors.Join(v[0].put(f, refs(0, 0, 4)...), v[0].put(f, refs(1, 0, 1)...), f.Close()); err != nil {
		return err
	}
	if f, err = assemble.Open(context.Background(), store, v[1].m, killTarget(dir), cfg); err != nil {
		return err
	}
	if err := v[1].putAll(f); err != nil {
		return err
	}
	_, err = f.Finish(context.Background(), blockstore.Video{Recording: "r1"})
	return errors.Join(err, f.Close(), store.Close())
}

// Killed before and after every step of a fetch that went from one version to
// the next: the same version, a newer one, and an older one go on with all that
// the receipt covers of them, and come out whole.
func TestRecordingKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	eachStep(t, advanceSteps, func(t *testing.T, point string) {
		t.Parallel()
		dir := t.TempDir()
		runToDeath(t, dir, "recording/"+point)
		store := openIndex(t, filepath.Join(dir, "index"))
		t.Cleanup(func() { check(t, store.Close()) })
		for _, version := range []int{1, 0, 2} {
			held := held(t, store, version)
			f := openFile(t, store, growth()[version], killTarget(dir), recordingConfig("r1"))
			wantHeld(t, f, growth()[version], held)
			check(t, f.Close())
		}
		v := growth()[2]
		f := openFile(t, store, v, killTarget(dir), recordingConfig("r1"))
		check(t, v.putAll(f))
		path := finish(t, f)
		wantServed(t, f, v)
		check(t, f.Close())
		wantFile(t, path, v.data)
		wantRecorded(t, store, path, v)
		left, err := filepath.Glob(filepath.Join(dir, "new", "folder", "*.part"))
		check(t, err)
		for _, part := range left {
			wantSize(t, part, 0)
		}
	})
}

// held is what the receipt of the recording covers of a version.
func held(t *testing.T, store *blockstore.Store, version int) *manifest.Holdings {
	t.Helper()
	m := growth()[version].m
	held := manifest.NewHoldings(m.Size())
	r, err := store.RecordingReceipt("r1")
	if errors.Is(err, fs.ErrNotExist) {
		return held
	}
	check(t, err)
	if _, err := os.Stat(r.Part); err != nil {
		return held // renamed
	}
	of, err := store.Manifest(t.Context(), r.Video)
	check(t, err)
	for i, mask := range r.Masks {
		if i < m.NumBlocks() && of.Block(i) == m.Block(i) {
			held.Add(i, mask)
		}
	}
	return held
}

// wantHeld checks that f has these pieces, and that whatever it has is right.
func wantHeld(t *testing.T, f *assemble.File, s *sample, want *manifest.Holdings) {
	t.Helper()
	have, _ := f.Holdings()
	buf := make([]byte, manifest.PieceSize)
	for _, ref := range s.pieces() {
		if want.Has(ref.block, ref.piece) && !have.Has(ref.block, ref.piece) {
			t.Errorf("piece %v has a receipt and is asked again", ref)
		}
		if !have.Has(ref.block, ref.piece) {
			continue
		}
		if _, _, err := f.ReadPiece(t.Context(), ref.block, ref.piece, buf, nil); err != nil {
			t.Error(err)
		}
	}
}
