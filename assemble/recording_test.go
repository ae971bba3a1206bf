package assemble_test

import (
	"bytes"
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

// What is discarded leaves neither receipt nor part file, and takes no target.
func TestDiscard(t *testing.T) {
	t.Parallel()
	store, dir, r := newStore(t), t.TempDir(), recorded()
	f := openFile(t, store, r.first, assemble.Target{Dir: dir, Name: "cam.mkv"}, recordingConfig("r1"))
	check(t, r.first.put(f, refs(0, 0, 20)...))
	receipt, err := store.RecordingReceipt("r1")
	if err == nil && assemble.Discard(store, receipt) == nil {
		t.Error("a part file that is open is discarded")
	}
	check(t, f.Close())
	if receipt, err = store.RecordingReceipt("r1"); err != nil {
		t.Fatal(err)
	}
	foreign := receipt
	foreign.Part = filepath.Join(dir, "other.mkv")
	check(t, os.WriteFile(foreign.Part, []byte("not ours"), 0o600))
	check(t, assemble.Discard(store, foreign))
	wantNames(t, dir, "cam.mkv.part", "other.mkv")
	check(t, assemble.Discard(store, receipt))
	wantNames(t, dir, "other.mkv")
	if _, err := store.RecordingReceipt("r1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("receipt of the recording: %v, want none", err)
	}
}

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
	wantServed(t, f, r.last)
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

// Shorter again: what both versions have stays, the rest is gone from the disk.
func TestRecordingShrinks(t *testing.T) {
	t.Parallel()
	store, r := newStore(t), recorded()
	target, cfg := assemble.Target{Dir: t.TempDir(), Name: "cam.mkv"}, recordingConfig("r1")
	f := openFile(t, store, r.longer, target, cfg)
	check(t, r.longer.putAll(f))
	check(t, f.Close())
	f = openFile(t, store, r.first, target, cfg)
	wantSize(t, f.Part(), r.first.m.Size())
	wantPieces(t, f, refs(0, 0, 32)...)
	check(t, f.Close())
	f = openFile(t, store, r.longer, target, cfg)
	wantPieces(t, f, refs(0, 0, 32)...)
	check(t, r.longer.putAll(f))
	wantFile(t, finish(t, f), r.longer.data)
}

// A part file of any size goes on with the pieces that lie within it.
func TestRecordingPartOfAnotherSize(t *testing.T) {
	t.Parallel()
	r := recorded()
	for _, tt := range []struct {
		name string
		size int64
		want []pieceRef
	}{
		{"empty", 0, nil},
		{"within a piece", 7*manifest.PieceSize + 5, refs(0, 0, 7)},
		{"at a block", manifest.BlockSize, refs(0, 0, 32)},
		{"longer", 3 * manifest.BlockSize, append(refs(0, 0, 32), refs(1, 0, 2)...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := newStore(t)
			target, cfg := assemble.Target{Dir: t.TempDir(), Name: "cam.mkv"}, recordingConfig("r1")
			f := openFile(t, store, r.first, target, cfg)
			check(t, r.first.put(f, append(refs(0, 0, 32), refs(1, 0, 2)...)...))
			check(t, f.Close())
			check(t, os.Truncate(f.Part(), tt.size))
			again := openFile(t, store, r.first, target, cfg)
			if again.Part() != f.Part() {
				t.Fatalf("part file is %s", again.Part())
			}
			wantSize(t, f.Part(), r.first.m.Size())
			wantPieces(t, again, tt.want...)
			check(t, r.first.putAll(again))
			wantFile(t, finish(t, again), r.first.data)
		})
	}
}

// What bears the name of a recording, or its mark, and is not its part file, is
// left alone; each recording has a part file of its own.
func TestRecordingsBesideEachOther(t *testing.T) {
	t.Parallel()
	store, dir, r := newStore(t), t.TempDir(), recorded()
	target := assemble.Target{Dir: dir, Name: "cam.mkv"}
	plain := openFile(t, store, tiny(), target, assemble.Config{})
	check(t, tiny().putAll(plain))
	one := openFile(t, store, r.first, target, recordingConfig("one"))
	check(t, r.first.put(one, refs(0, 0, 3)...))
	two := openFile(t, store, r.rewritten, target, recordingConfig("two"))
	check(t, r.rewritten.put(two, refs(0, 0, 5)...))
	for _, f := range []*assemble.File{plain, one, two} {
		check(t, f.Close())
	}
	wantNames(t, dir, "cam.mkv.2.part", "cam.mkv.3.part", "cam.mkv.part")

	one = openFile(t, store, r.longer, target, recordingConfig("one"))
	wantPieces(t, one, refs(0, 0, 3)...)
	two = openFile(t, store, r.last, target, recordingConfig("two"))
	wantPieces(t, two, refs(0, 0, 5)...)
	check(t, errors.Join(r.longer.putAll(one), r.last.putAll(two)))
	plain = openFile(t, store, tiny(), target, assemble.Config{})
	wantFile(t, finish(t, plain), tiny().data)
	wantFile(t, finish(t, one), r.longer.data)
	wantFile(t, finish(t, two), r.last.data)
	wantNames(t, dir, "cam (2).mkv", "cam (3).mkv", "cam.mkv")
}

// Two recordings may have a version of the same bytes: its fetch stays that of
// the first.
func TestRecordingsOfTheSameBytes(t *testing.T) {
	t.Parallel()
	store, dir, r := newStore(t), t.TempDir(), recorded()
	target := assemble.Target{Dir: dir, Name: "cam.mkv"}
	f := openFile(t, store, r.first, target, recordingConfig("one"))
	check(t, r.first.put(f, refs(0, 0, 3)...))
	check(t, f.Close())
	f = openFile(t, store, r.first, target, recordingConfig("two"))
	wantPieces(t, f, refs(0, 0, 3)...)
	check(t, f.Close())
	wantMark(t, f.Part(), "recording one")
	f = openFile(t, store, r.longer, target, recordingConfig("one"))
	wantPieces(t, f, refs(0, 0, 3)...)
}

// A fetch that began before the video was known to be of a recording becomes
// one of it.
func TestRecordingTakesUpPlainFetch(t *testing.T) {
	t.Parallel()
	store, dir, r := newStore(t), t.TempDir(), recorded()
	target, cfg := assemble.Target{Dir: dir, Name: "cam.mkv"}, recordingConfig("r1")
	f := openFile(t, store, r.first, target, cfg)
	check(t, f.Close())
	plain := openFile(t, store, r.longer, target, assemble.Config{})
	check(t, plain.Close())
	check(t, store.PutManifest(r.longer.m))
	plain = openFile(t, store, r.longer, target, assemble.Config{})
	check(t, r.longer.put(plain, refs(0, 0, 3)...))
	check(t, plain.Close())
	f = openFile(t, store, r.longer, target, cfg)
	wantPieces(t, f, refs(0, 0, 3)...)
	check(t, f.Close())
	wantMark(t, f.Part(), "recording r1")
	wantNames(t, dir, filepath.Base(plain.Part()))
	f = openFile(t, store, r.last, target, cfg)
	wantPieces(t, f)
	if f.Part() != plain.Part() {
		t.Errorf("part file is %s", f.Part())
	}
	f2, err := store.RecordingReceipt("r1")
	if err != nil || f2.Video != r.last.m.CID() {
		t.Errorf("receipt of the recording is of %s, %v", f2.Video, err)
	}
}

// A part file that is gone, replaced or of a version that the index does not
// know any more: the fetch starts over, and leaves alone what is not its own.
func TestRecordingStartsOver(t *testing.T) {
	t.Parallel()
	r := recorded()
	for _, tt := range []struct {
		name  string
		harm  func(part string) error
		names []string
	}{
		{"gone", os.Remove, []string{"cam.mkv.part"}},
		{"replaced", func(part string) error {
			return errors.Join(os.Rename(part, part+".old"), os.WriteFile(part, []byte("mine"), 0o644))
		}, []string{"cam.mkv.2.part", "cam.mkv.part", "cam.mkv.part.old"}},
		{"of another recording", func(part string) error {
			return unix.Setxattr(part, "user.vidsync.part", []byte("recording r2"), 0)
		}, []string{"cam.mkv.2.part", "cam.mkv.part"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store, dir := newStore(t), t.TempDir()
			target, cfg := assemble.Target{Dir: dir, Name: "cam.mkv"}, recordingConfig("r1")
			f := openFile(t, store, r.first, target, cfg)
			check(t, r.first.put(f, refs(0, 0, 3)...))
			check(t, f.Close())
			check(t, tt.harm(f.Part()))
			f = openFile(t, store, r.longer, target, cfg)
			wantPieces(t, f)
			wantNames(t, dir, tt.names...)
			if _, err := store.Receipt(r.first.m.CID()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("receipt of the version before: %v, want none", err)
			}
		})
	}
}

// Names of recordings are bytes, of which there is a limit.
func TestHostileRecordingNames(t *testing.T) {
	t.Parallel()
	r := recorded()
	for _, name := range []string{"\x00", "\xff\xfe", "../../etc", "a\nb", r.first.m.CID().String(), strings.Repeat("r", blockstore.MaxRecording)} {
		store, dir := newStore(t), t.TempDir()
		target, cfg := assemble.Target{Dir: dir, Name: "cam.mkv"}, recordingConfig(name)
		f := openFile(t, store, r.first, target, cfg)
		check(t, r.first.put(f, refs(0, 0, 1)...))
		check(t, f.Close())
		f = openFile(t, store, r.longer, target, cfg)
		wantPieces(t, f, refs(0, 0, 1)...)
		check(t, f.Close())
		wantNames(t, dir, "cam.mkv.part")
	}
	dir := t.TempDir()
	_, err := assemble.Open(t.Context(), newStore(t), r.first.m, assemble.Target{Dir: dir, Name: "a"},
		recordingConfig(strings.Repeat("r", blockstore.MaxRecording+1)))
	if err == nil {
		t.Error("a name that is too long is taken")
	}
	wantNames(t, dir)
}

// Renamed at the source: the part file stays where it is until the end.
func TestRecordingRenamed(t *testing.T) {
	t.Parallel()
	store, from, to, r := newStore(t), t.TempDir(), t.TempDir(), recorded()
	f := openFile(t, store, r.first, assemble.Target{Dir: from, Name: "a.mkv"}, recordingConfig("r1"))
	check(t, r.first.put(f, refs(0, 0, 3)...))
	check(t, f.Close())
	part := f.Part()
	f = openFile(t, store, r.longer, assemble.Target{Dir: to, Name: "a.mkv.part"}, recordingConfig("r1"))
	wantPieces(t, f, refs(0, 0, 3)...)
	if f.Part() != part || f.Path() != filepath.Join(to, "a.mkv.part") {
		t.Fatalf("part %s of %s", f.Part(), f.Path())
	}
	check(t, f.Close())
	f = openFile(t, store, r.last, assemble.Target{Dir: from, Name: "a.mkv.part"}, recordingConfig("r1")) // its own name
	if f.Part() != part {
		t.Fatalf("part %s of %s", f.Part(), f.Path())
	}
	check(t, r.last.putAll(f))
	wantFile(t, finish(t, f), r.last.data)
	wantNames(t, to)
	wantNames(t, from, "a.mkv (2).part")
}

// A version was being finished when the process died, and the recording went on:
// the file grows under the name of a part file again.
func TestRecordingGoesOnAfterRename(t *testing.T) {
	t.Parallel()
	for name, rename := range map[string]func(old, path string) error{"renamed": os.Rename, "under both names": os.Link} {
		t.Run(name, func(t *testing.T) {
			store, dir, r := newStore(t), t.TempDir(), recorded()
			target, cfg := assemble.Target{Dir: dir, Name: "cam.mkv"}, recordingConfig("r1")
			f := openFile(t, store, r.first, target, cfg)
			check(t, r.first.putAll(f))
			check(t, f.Close())
			check(t, rename(f.Part(), f.Path()))
			f = openFile(t, store, r.longer, target, cfg)
			wantPieces(t, f, refs(0, 0, 32)...)
			wantNames(t, dir, "cam.mkv.part")
			check(t, r.longer.putAll(f))
			wantFile(t, finish(t, f), r.longer.data)
		})
	}
}

// fullDisk has no room for more while full.
type fullDisk struct {
	assemble.SystemDisk
	full bool
}

func (d *fullDisk) Allocate(f *os.File, size int64) error {
	if d.full {
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: unix.ENOSPC}
	}
	return d.SystemDisk.Allocate(f, size)
}

// A version that does not fit waits for room, and nothing is lost meanwhile,
// also if a newer one comes.
func TestRecordingDoesNotFit(t *testing.T) {
	t.Parallel()
	store, v, d := newStore(t), growth(), &fullDisk{}
	target, cfg := assemble.Target{Dir: t.TempDir(), Name: "cam.mkv"}, assemble.WithDisk(recordingConfig("r1"), d)
	f := openFile(t, store, v[0], target, cfg)
	check(t, v[0].put(f, refs(0, 0, 9)...))
	check(t, f.Close())
	d.full = true
	for _, s := range []*sample{v[1], v[1], v[2]} {
		_, err := assemble.Open(t.Context(), store, s.m, target, cfg)
		wantErr(t, err, assemble.ErrNoSpace)
	}
	d.full = false
	f = openFile(t, store, v[2], target, cfg)
	wantPieces(t, f, refs(0, 0, 9)...)
	check(t, v[2].putAll(f))
	wantFile(t, finish(t, f), v[2].data)
}
