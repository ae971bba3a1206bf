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

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// take is a recording as it grows: versions of one or two blocks and a bit.
type take struct{ first, longer, rewritten, last *sample }

var recorded = sync.OnceValue(func() take {
	all := randomBytes(31, 2*manifest.BlockSize+5*manifest.PieceSize+123)
	cut := func(n int) []byte { return append(assemble.AlignedBuffer(0), all[:n]...) }
	head := cut(2*manifest.BlockSize + manifest.PieceSize)
	copy(head, randomBytes(32, 4096)) // as when the container's index is filled in
	last := bytes.Clone(all)
	copy(last, head[:4096])
	return take{
		first:     mustSample(cut(manifest.BlockSize + 2*manifest.PieceSize)),
		longer:    mustSample(cut(2*manifest.BlockSize + 77)),
		rewritten: mustSample(head),
		last:      mustSample(last),
	}
})

func recordingConfig(name string) assemble.Config { return assemble.Config{Recording: name} }

// refs are pieces from to below end of a block.
func refs(block, from, end int) (out []pieceRef) {
	for p := from; p < end; p++ {
		out = append(out, pieceRef{block, p})
	}
	return out
}

// wantPieces checks which pieces are held.
func wantPieces(t *testing.T, f *assemble.File, want ...pieceRef) {
	t.Helper()
	have, _ := f.Holdings()
	for _, r := range want {
		if !have.Has(r.block, r.piece) {
			t.Errorf("piece %v is not held", r)
		}
	}
	if have.Pieces() != len(want) {
		t.Errorf("%d pieces held, want %d", have.Pieces(), len(want))
	}
}

func wantSize(t *testing.T, path string, want int64) {
	t.Helper()
	info, err := os.Stat(path)
	check(t, err)
	if info.Size() != want {
		t.Errorf("%s has %d bytes, want %d", path, info.Size(), want)
	}
}

func wantMark(t *testing.T, path, want string) {
	t.Helper()
	buf := make([]byte, 256)
	n, err := unix.Getxattr(path, "user.vidsync.part", buf)
	if errors.Is(err, unix.ENODATA) {
		n, err = 0, nil
	}
	check(t, err)
	if got := string(buf[:n]); got != want {
		t.Errorf("%s is marked %q, want %q", path, got, want)
	}
}

// One part file over all versions: blocks that stay are kept, a rewritten or
// grown one is fetched again, and in the end the file is the last version.
func TestRecordingGrows(t *testing.T) {
	t.Parallel()
	store, dir, r := newStore(t), t.TempDir(), recorded()
	target, cfg := assemble.Target{Dir: dir, Name: "cam.mkv"}, recordingConfig("r1")
	f := openFile(t, store, r.first, target, cfg)
	part := f.Part()
	check(t, r.first.put(f, append(refs(0, 0, 20), refs(1, 0, 2)...)...))
	check(t, f.Close())
	wantMark(t, part, "recording r1")

	f = openFile(t, store, r.longer, target, cfg)
	wantSize(t, part, r.longer.m.Size())
	wantPieces(t, f, refs(0, 0, 20)...) // block 1 was short and is another now
	check(t, r.longer.put(f, append(append(refs(0, 20, 32), refs(1, 0, 32)...), pieceRef{2, 0})...))
	wantServed(t, f, r.longer)
	check(t, f.Close())
	wantMark(t, part, "recording r1")

	f = openFile(t, store, r.rewritten, target, cfg)
	wantSize(t, part, r.rewritten.m.Size())
	wantPieces(t, f, refs(1, 0, 32)...)
	check(t, f.Close())

	f = openFile(t, store, r.last, target, cfg)
	wantPieces(t, f, refs(1, 0, 32)...)
	check(t, r.last.putAll(f))
	path := finish(t, f)
	check(t, f.Close())
	wantFile(t, path, r.last.data)
	wantRecorded(t, store, path, r.last)
	wantMark(t, path, "")
	wantNames(t, dir, "cam.mkv")
	for _, s := range []*sample{r.first, r.longer, r.rewritten} {
		if _, err := store.ManifestNode(s.m.CID()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("manifest of %d bytes: %v, want none", s.m.Size(), err)
		}
	}
	if _, err := store.RecordingReceipt("r1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("receipt of the recording: %v, want none", err)
	}
}

var _ = context.Background
var _ = strings.Repeat
var _ blockstore.Video
var _ = filepath.Join
