package assemble_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

var (
	soak = flag.Int("soak", 0, "power cuts in the power cut test; 0 means a few")
	seed = flag.Uint64("seed", 0, "seed of the power cut test; 0 means a random one")
)

const (
	shortCuts     = 12
	shortCopyCuts = 6
	copyStepsMost = 36 // about as many as a copy of the tiny video takes
	attempts      = 40 // that one video may take
)

// cutSample is a video of two full blocks and a short one, 70 MiB.
var cutSample = sync.OnceValue(func() *sample { return mustSample(randomBytes(11, 70<<20+4321)) })

// mixedSample has a block of zeros and one that comes twice, so that blocks are
// filled in without being put.
var mixedSample = sync.OnceValue(func() *sample {
	a := randomBytes(12, manifest.BlockSize)
	tail := randomBytes(13, 3*manifest.PieceSize+77)
	return mustSample(bytes.Join([][]byte{a, make([]byte, manifest.BlockSize), a, tail}, nil))
})

// However often and whenever the power is cut, and whatever of the unsynced
// bytes, sizes, marks and names it takes: what a receipt covers is right on disk
// and not asked for again, only verified pieces are held, and only the whole
// video has the final name.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	want := shortCuts
	if *soak > 0 {
		want = *soak
	}
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	cuts, videos, kept := 0, 0, 0
	for cuts < want {
		r := newTrial(t, first+uint64(videos))
		r.fetch()
		cuts, kept = cuts+r.cuts, kept+r.kept
		videos++
		check(t, os.RemoveAll(r.base))
	}
	t.Logf("%d cuts of %d videos, seed %d; %d pieces were kept over a cut", cuts, videos, first, kept)
	if kept == 0 && want > shortCuts {
		t.Fatal("no cut came after a receipt")
	}
}

func newTrial(t *testing.T, seed uint64) *trial {
	r := &trial{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), s: cutSample(), base: t.TempDir()}
	if r.rng.IntN(3) == 0 {
		r.s = mixedSample()
	}
	for _, dir := range []string{"grave", "there"} {
		check(t, os.Mkdir(filepath.Join(r.base, dir), 0o755))
	}
	r.index = filepath.Join(r.base, "index0")
	r.target = assemble.Target{Dir: filepath.Join(r.base, "new", "folder"), Name: "v.mp4"}
	return r
}

// fetch tries until the video is there and outlived a cut.
func (r *trial) fetch() {
	for range attempts {
		finished := r.attempt()
		r.cuts++
		r.verify(finished)
		if finished {
			return
		}
		if r.rng.IntN(4) == 0 && !r.named() { // another folder of the same file system
			r.target.Dir = filepath.Join(r.base, []string{"there", "new/folder", "new/other"}[r.rng.IntN(3)])
		}
	}
	r.fatalf("not finished after %d attempts", attempts)
}

// attempt fetches until the power is cut, or to the end and cuts it then. The
// index that counts from then on is a copy made at the moment of the cut.
func (r *trial) attempt() (finished bool) {
	return r.attemptTo(func(store *blockstore.Store, cfg assemble.Config, _ func()) error { return r.run(store, cfg) })
}

// attemptTo does the work until the power is cut, or the work cuts it itself.
func (r *trial) attemptTo(work func(store *blockstore.Store, cfg assemble.Config, cut func()) error) (finished bool) {
	store := openIndex(r.t, r.index)
	d := newPowerDisk(filepath.Join(r.base, "grave"))
	copied := filepath.Join(r.base, fmt.Sprint("index", r.cuts+1))
	cut := func() { d.cut(func() { r.check(copyIndex(copied, r.index)) }) }
	step := &stepper{Disk: d, index: store, at: r.cutter(d, cut)}
	err := work(store, step.config(assemble.Config{ReceiptEvery: 2 * time.Millisecond, ReceiptBytes: 3 << 20}), cut)
	if err != nil && !d.isDead() {
		r.fatalf("attempt without a cut: %v", err)
	}
	cut()
	r.check(store.Close())
	if pages, others := d.pending(); err == nil && pages+others > 0 {
		r.fatalf("finished with %d pages and %d other changes not synced", pages, others)
	}
	r.check(d.lose(r.rng, []float64{0.05, 0.5, 1}[r.rng.IntN(3)]))
	d.close()
	r.check(os.RemoveAll(r.index))
	r.index = copied
	return err == nil
}

// cutter cuts the power at a random step, sometimes never.
func (r *trial) cutter(d *powerDisk, cut func()) func(step string) error {
	kind, left := "", 1+r.rng.IntN(180)
	if r.rng.IntN(2) == 0 {
		kind = []string{"before ", "after "}[r.rng.IntN(2)] + steps[r.rng.IntN(len(steps))]
		left = 1 + r.rng.IntN(2)
	}
	var mu sync.Mutex
	return func(step string) error {
		mu.Lock()
		if kind == "" || kind == step {
			left--
		}
		now := left == 0
		mu.Unlock()
		if now {
			cut()
		}
		if d.isDead() {
			return errPowerCut
		}
		return nil
	}
}

// Whenever the power is cut while a file is copied in: nobody knows of no file
// after the restart, nothing is left of an unfinished one, and the copy outlives
// a cut once CopyIn has returned.
func TestPowerCutOfCopyIn(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(rand.Uint64(), 1))
	src := filepath.Join(t.TempDir(), "v.mp4")
	check(t, os.WriteFile(src, tiny().data, 0o644))
	if !cutCopy(t, rng, src, 1000) {
		t.Fatal("a copy takes 1000 steps")
	}
	for range max(shortCopyCuts, *soak) {
		cutCopy(t, rng, src, 1+rng.IntN(copyStepsMost))
	}
}

// cutCopy cuts the power at a step of a copy. It tells whether that came after
// the end.
func cutCopy(t *testing.T, rng *rand.Rand, src string, left int) (over bool) {
	dir, d := t.TempDir(), newPowerDisk(t.TempDir())
	index, copied, folder := filepath.Join(dir, "index"), filepath.Join(dir, "copied"), filepath.Join(dir, "new", "folder")
	store := openIndex(t, index)
	cut := func() { d.cut(func() { check(t, copyIndex(copied, index)) }) }
	step := &stepper{Disk: unshared{d}, notes: assemble.IndexOf(store), at: func(string) error {
		if left--; left == 0 {
			cut()
		}
		if d.isDead() {
			return errPowerCut
		}
		return nil
	}}
	_, err := assemble.CopyInBy(t.Context(), store, step, step, src, folder)
	if err != nil && !errors.Is(err, errPowerCut) {
		t.Fatal(err)
	}
	over = err == nil && !d.isDead()
	cut()
	check(t, store.Close())
	check(t, d.lose(rng, []float64{0.5, 1}[rng.IntN(2)]))
	d.close()
	recorded := openIndex(t, copied)
	_, fileErr := recorded.FileRecord(filepath.Join(folder, "v.mp4"))
	check(t, recorded.Close())
	if err == nil && fileErr != nil {
		t.Fatalf("copied, and not on record after the cut: %v", fileErr)
	}
	verifyCopy(t, copied, src, folder, fileErr == nil)
	return over
}

// copyIndex copies an index as it is now, while it is open. Zeros become holes.
// Badger may write or merge its tables meanwhile: then it is copied again, for
// a power cut sees one moment only.
func copyIndex(dst, src string) error {
	for range 100 {
		before, err := tables(src)
		if err != nil {
			return err
		}
		err = copyFiles(dst, src)
		after, afterErr := tables(src)
		if afterErr != nil {
			return afterErr
		}
		if err == nil && before == after {
			return nil
		}
		if err := os.RemoveAll(dst); err != nil {
			return err
		}
	}
	return errors.New("the index does not stand still")
}

// tables changes whenever Badger's set of tables does.
func tables(index string) (string, error) {
	manifest, err := os.ReadFile(filepath.Join(index, "MANIFEST"))
	names, globErr := filepath.Glob(filepath.Join(index, "*.sst"))
	return fmt.Sprintf("%x %q", manifest, names), errors.Join(err, globErr)
}

func copyFiles(dst, src string) error {
	if err := os.Mkdir(dst, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "LOCK" {
			continue
		}
		if err := copySparse(filepath.Join(dst, e.Name()), filepath.Join(src, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copySparse(dst, src string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(dst)
	if err != nil {
		return err
	}
	defer out.Close()
	buf, zeros, size := make([]byte, 64<<10), make([]byte, 64<<10), int64(0)
	for {
		n, err := in.Read(buf)
		if errors.Is(err, io.EOF) {
			return out.Truncate(size)
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(buf[:n], zeros[:n]) {
			if _, err := out.WriteAt(buf[:n], size); err != nil {
				return err
			}
		}
		size += int64(n)
	}
}

const markName = "user.vidsync.part"

// getMark is the mark of a file, nil if it has none.
func getMark(f *os.File) []byte {
	buf := make([]byte, 256)
	n, err := unix.Fgetxattr(int(f.Fd()), markName, buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

func putMark(f *os.File, mark []byte) error {
	if mark != nil {
		return unix.Fsetxattr(int(f.Fd()), markName, mark, 0)
	}
	err := unix.Fremovexattr(int(f.Fd()), markName)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
