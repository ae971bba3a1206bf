package assemble_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

func TestResume(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), t.TempDir()
	target := assemble.Target{Dir: dir, Name: "a.mp4"}
	f := openFile(t, store, s, target, assemble.Config{})
	first := s.pieces()[:3]
	check(t, s.put(f, first...))
	check(t, f.Close())
	check(t, f.Close())

	f = openFile(t, store, s, target, assemble.Config{})
	have, _ := f.Holdings()
	if have.Pieces() != len(first) {
		t.Fatalf("%d pieces held after reopening, want %d", have.Pieces(), len(first))
	}
	buf := make([]byte, manifest.PieceSize)
	for _, r := range first { // with proofs out of the index
		data, proof, err := f.ReadPiece(t.Context(), r.block, r.piece, buf, nil)
		check(t, err)
		want, wantProof := s.piece(r)
		if !bytes.Equal(data, want) || !bytes.Equal(proof, wantProof) {
			t.Fatalf("piece %v is served differently after reopening", r)
		}
	}
	check(t, s.put(f, s.pieces()[3:5]...))
	check(t, f.Close())
	f = openFile(t, store, s, target, assemble.Config{}) // the block's proofs come from two runs
	check(t, s.putAll(f))
	path := finish(t, f)
	wantFile(t, path, s.data)
	wantServed(t, f, s)
	wantNames(t, dir, "a.mp4")
}

// A part file that is not what the receipt speaks of is started over.
func TestResumeOfDamagedPart(t *testing.T) {
	t.Parallel()
	foreign := bytes.Repeat([]byte("x"), tinySize)
	tests := []struct {
		name   string
		damage func(part string) error
		reason string
		keeps  bool // what lies at the part's path is left alone
	}{
		{"removed", os.Remove, "gone", false},
		{"replaced, same size", func(part string) error {
			return errors.Join(os.Remove(part), os.WriteFile(part, foreign, 0o644))
		}, "replaced", true},
		{"replaced by a link", func(part string) error {
			return errors.Join(os.Rename(part, part+".moved"), os.Symlink(part+".moved", part))
		}, "replaced", true},
		{"replaced by a folder", func(part string) error {
			return errors.Join(os.Remove(part), os.Mkdir(part, 0o755))
		}, "replaced", true},
		{"marked for another video", func(part string) error {
			return unix.Setxattr(part, "user.vidsync.part", []byte(small().m.CID().String()), 0)
		}, "replaced", true},
		{"cut", func(part string) error { return os.Truncate(part, 1<<20) }, "1048576 bytes instead of", false},
		{"longer", func(part string) error { return os.Truncate(part, tinySize+1) }, "bytes instead of", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, s, dir := newStore(t), tiny(), t.TempDir()
			target := assemble.Target{Dir: dir, Name: "a"}
			f := openFile(t, store, s, target, assemble.Config{})
			check(t, s.put(f, s.pieces()[:3]...))
			check(t, f.Close())
			check(t, tt.damage(f.Part()))
			before, err := os.Lstat(f.Part())
			if !tt.keeps {
				err = nil
			}
			check(t, err)

			var log bytes.Buffer
			again := openFile(t, store, s, target, assemble.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if have, _ := again.Holdings(); have.Pieces() != 0 {
				t.Fatalf("%d pieces trusted", have.Pieces())
			}
			if !strings.Contains(log.String(), tt.reason) {
				t.Fatalf("log %q does not say %q", &log, tt.reason)
			}
			check(t, s.putAll(again))
			wantFile(t, finish(t, again), s.data)
			if after, err := os.Lstat(f.Part()); tt.keeps && (err != nil || !os.SameFile(before, after) || before.ModTime() != after.ModTime()) {
				t.Fatalf("%s was touched: %v", f.Part(), err)
			}
		})
	}
}

// A part file of someone else is never written to.
func TestForeignPart(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), t.TempDir()
	for _, name := range []string{"a.mp4.part", "a.mp4.2.part"} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o644))
	}
	check(t, os.Symlink("/nowhere", filepath.Join(dir, "a.mp4.3.part")))
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a.mp4"}, assemble.Config{})
	if got, want := filepath.Base(f.Part()), "a.mp4.4.part"; got != want {
		t.Fatalf("part file %s, want %s", got, want)
	}
	check(t, s.putAll(f))
	wantFile(t, finish(t, f), s.data)
	wantNames(t, dir, "a.mp4", "a.mp4.2.part", "a.mp4.3.part", "a.mp4.part")
	wantFile(t, filepath.Join(dir, "a.mp4.part"), []byte("mine"))
}

func TestTargetMovesToAnotherFolder(t *testing.T) {
	t.Parallel()
	store, s, from, to := newStore(t), tiny(), t.TempDir(), t.TempDir()
	f := openFile(t, store, s, assemble.Target{Dir: from, Name: "a"}, assemble.Config{})
	check(t, s.put(f, s.pieces()[:3]...))
	check(t, f.Close())
	f = openFile(t, store, s, assemble.Target{Dir: to, Name: "b", Exact: true}, assemble.Config{})
	if have, _ := f.Holdings(); have.Pieces() != 3 {
		t.Fatalf("%d pieces held, want 3", have.Pieces())
	}
	check(t, s.putAll(f))
	wantFile(t, finish(t, f), s.data)
	wantNames(t, from)
	wantNames(t, to, "b")
}

// TestExisting tells what becomes of a file that has the name already.
func TestExisting(t *testing.T) {
	t.Parallel()
	s := tiny()
	other := randomBytes(9, tinySize)
	tests := []struct {
		name     string
		make     func(t *testing.T, store *blockstore.Store, path string)
		done     bool   // it is this video
		wantName string // else
	}{
		{"nothing", func(*testing.T, *blockstore.Store, string) {}, false, "a.mp4"},
		{"this video, in the index", func(t *testing.T, store *blockstore.Store, path string) { addFile(t, store, path, s) }, true, "a.mp4"},
		{"this video, unknown", func(t *testing.T, _ *blockstore.Store, path string) {
			check(t, os.WriteFile(path, s.data, 0o644))
		}, true, "a.mp4"},
		{"this video, changed since", func(t *testing.T, store *blockstore.Store, path string) {
			addFile(t, store, path, s)
			corrupt(t, path, 0)
		}, false, "a (2).mp4"},
		{"another of the same size", func(t *testing.T, _ *blockstore.Store, path string) {
			check(t, os.WriteFile(path, other, 0o644))
		}, false, "a (2).mp4"},
		{"another of the same size, in the index", func(t *testing.T, store *blockstore.Store, path string) {
			addFile(t, store, path, mustSample(other))
		}, false, "a (2).mp4"},
		{"a short file", func(t *testing.T, _ *blockstore.Store, path string) {
			check(t, os.WriteFile(path, []byte("short"), 0o644))
		}, false, "a (2).mp4"},
		{"a folder", func(t *testing.T, _ *blockstore.Store, path string) { check(t, os.Mkdir(path, 0o755)) }, false, "a (2).mp4"},
		{"a dangling link", func(t *testing.T, _ *blockstore.Store, path string) {
			check(t, os.Symlink(filepath.Join(t.TempDir(), "x"), path))
		}, false, "a (2).mp4"},
		{"a link to this video", func(t *testing.T, _ *blockstore.Store, path string) {
			there := filepath.Join(t.TempDir(), "x")
			check(t, os.WriteFile(there, s.data, 0o644))
			check(t, os.Symlink(there, path))
		}, false, "a (2).mp4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, dir := newStore(t), t.TempDir()
			path := filepath.Join(dir, "a.mp4")
			tt.make(t, store, path)
			checkExact(t, store, path, tt.done, tt.wantName)
			f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a.mp4"}, assemble.Config{})
			if f.Done() != tt.done || f.Path() != filepath.Join(dir, tt.wantName) {
				t.Fatalf("done %v at %s, want %v at %s", f.Done(), f.Path(), tt.done, tt.wantName)
			}
			before, _ := os.Lstat(path)
			check(t, s.putAll(f))
			final := finish(t, f)
			wantFile(t, final, s.data)
			wantRecorded(t, store, final, s)
			wantServed(t, f, s)
			if after, err := os.Lstat(path); before != nil && (err != nil || !os.SameFile(before, after)) {
				t.Fatalf("%s was replaced", path)
			}
		})
	}
}

// checkExact opens path as an exact target and gives it up.
func checkExact(t *testing.T, store *blockstore.Store, path string, done bool, wantName string) {
	t.Helper()
	target := assemble.Target{Dir: filepath.Dir(path), Name: filepath.Base(path), Exact: true}
	f, err := assemble.Open(t.Context(), store, tiny().m, target, assemble.Config{})
	if filepath.Base(path) != wantName {
		wantErr(t, err, assemble.ErrExists)
		wantNames(t, filepath.Dir(path), filepath.Base(path))
		return
	}
	check(t, err)
	if f.Done() != done {
		t.Fatalf("exact: done %v, want %v", f.Done(), done)
	}
	check(t, f.Remove())
}

// A file that takes the name while the video is fetched is not replaced.
func TestNameTakenMeanwhile(t *testing.T) {
	t.Parallel()
	for _, exact := range []bool{false, true} {
		store, s, dir := newStore(t), tiny(), t.TempDir()
		f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a.mp4", Exact: exact}, assemble.Config{})
		check(t, s.putAll(f))
		taken := filepath.Join(dir, "a.mp4")
		check(t, os.WriteFile(taken, []byte("mine"), 0o644))
		path, err := f.Finish(t.Context(), blockstore.Video{})
		wantFile(t, taken, []byte("mine"))
		if exact {
			wantErr(t, err, assemble.ErrExists)
			check(t, os.Remove(taken))
			path, err = f.Finish(t.Context(), blockstore.Video{})
		}
		check(t, err)
		wantFile(t, path, s.data)
		wantRecorded(t, store, path, s)
	}
}

// A video that turned up under its name makes the part file superfluous.
func TestVideoArrivesOtherwise(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), t.TempDir()
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	check(t, s.put(f, s.pieces()[:3]...))
	check(t, f.Close())
	check(t, os.WriteFile(filepath.Join(dir, "a"), s.data, 0o644))
	f = openFile(t, store, s, assemble.Target{Dir: dir, Name: "a", Exact: true}, assemble.Config{})
	if !f.Done() {
		t.Fatal("not done")
	}
	wantNames(t, dir, "a")
	wantRecorded(t, store, finish(t, f), s)
}

func TestOpenEndsWithContext(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "a"), s.data, 0o644))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := assemble.Open(ctx, store, s.m, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	wantErr(t, err, context.Canceled)
}

// Opening a video of 2 TiB takes little memory, again with some of it held. The
// blocks that are held are of zeros, for they need not be on the disk.
func TestOpenHuge(t *testing.T) {
	const size, limit, held = 1 << 41, 24 << 20, 16
	zeros := zeroFirst().m.Block(0).Digest
	digests := make([]manifest.Digest, manifest.NumBlocks(size))
	for i := range digests {
		digests[i] = manifest.Digest{byte(i), byte(i >> 8), 1}
		if i%held == 0 {
			digests[i] = zeros
		}
	}
	m, err := manifest.New(size, digests)
	check(t, err)
	store, dir := newStore(t), t.TempDir()
	target, cfg := assemble.Target{Dir: dir, Name: "huge"}, assemble.WithDisk(assemble.Config{}, noAllocation{})
	f, taken := openMeasured(t, store, m, target, cfg)
	if taken > limit {
		t.Fatalf("Open allocated %d MiB", taken>>20)
	}
	if have, _ := f.Holdings(); have.NumBlocks() != 1<<16 {
		t.Fatalf("%d blocks", have.NumBlocks())
	}
	check(t, f.Close())
	var updates []blockstore.ReceiptUpdate
	for i := 0; i < len(digests); i += held {
		updates = append(updates, blockstore.ReceiptUpdate{Block: m.Block(i), Mask: 1, Outboard: manifest.NewOutboard(manifest.BlockSize)})
	}
	check(t, store.CommitReceipt(m.CID(), updates))
	updates = nil
	f, taken = openMeasured(t, store, m, target, cfg)
	if have, _ := f.Holdings(); have.Pieces() != len(digests)/held {
		t.Fatalf("%d pieces held", have.Pieces())
	}
	t.Logf("Open with every sixteenth block receipted allocated %d MiB", taken>>20)
	check(t, f.Close())
	_, err = assemble.Open(t.Context(), store, m, assemble.Target{Dir: dir, Name: "other"}, assemble.Config{})
	wantErr(t, err, assemble.ErrNoSpace) // this time with its space taken
	if !strings.Contains(err.Error(), dir) {
		t.Fatalf("error does not name the folder: %v", err)
	}
}

func openMeasured(t *testing.T, store *blockstore.Store, m *manifest.Manifest, target assemble.Target, cfg assemble.Config) (*assemble.File, uint64) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, err := assemble.Open(t.Context(), store, m, target, cfg)
	runtime.ReadMemStats(&after)
	check(t, err)
	return f, after.TotalAlloc - before.TotalAlloc
}

func TestOpenRefusesNames(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), t.TempDir()
	long := strings.Repeat("n", assemble.MaxNameBytes+1)
	tests := []assemble.Target{
		{Name: ""}, {Name: "."}, {Name: ".."}, {Name: "a/b"}, {Name: "../b"}, {Name: "/etc/passwd"}, {Name: `a\b`},
		{Name: "a\nb"}, {Name: "a\x00b"}, {Name: "a\x1b[2J"}, {Name: "a\u0085b"}, {Name: "a\x7f"}, {Name: long, Exact: true},
	}
	for _, target := range tests {
		target.Dir = filepath.Join(dir, "d")
		_, err := assemble.Open(t.Context(), store, s.m, target, assemble.Config{})
		wantErr(t, err, assemble.ErrName)
	}
	wantNames(t, dir)
	_, err := store.Receipt(s.m.CID())
	wantErr(t, err, fs.ErrNotExist)
}

func TestOpenRefusesFolder(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o644))
	_, err := assemble.Open(t.Context(), store, s.m, assemble.Target{Dir: filepath.Join(dir, "f"), Name: "a"}, assemble.Config{})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "f")) {
		t.Fatalf("folder that is a file: %v", err)
	}
}
