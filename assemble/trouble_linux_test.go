package assemble_test

import (
	"bufio"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
)

// begun is a fetch with 20 pieces receipted and 5 that are not.
func begun(t *testing.T, store *blockstore.Store, dir string) *assemble.File {
	t.Helper()
	s := small()
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	check(t, s.put(f, s.pieces()[:20]...))
	check(t, f.Checkpoint())
	check(t, s.put(f, s.pieces()[20:25]...))
	return f
}

// goOn opens the fetch again and ends it. At least what begun receipted is held.
func goOn(t *testing.T, store *blockstore.Store, dir string) {
	t.Helper()
	s := small()
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	wantHeldOnDisk(t, f, s)
	if have, _ := f.Holdings(); have.Pieces() < 20 {
		t.Fatalf("%d pieces held, 20 had a receipt", have.Pieces())
	}
	check(t, s.putAll(f))
	path := finish(t, f)
	wantFile(t, path, s.data)
	wantRecorded(t, store, path, s)
	check(t, f.Close())
}

// A disk that is unplugged stops the fetch. Without it nothing is written under
// the mount point and the receipt is kept; with it, even under another device
// number, the fetch goes on.
func TestUnmounted(t *testing.T) {
	t.Parallel()
	store, m := newStore(t), newImage(t, "ext4", "")
	dir := filepath.Join(m.dir, "videos")
	f := begun(t, store, dir)
	number := m.deviceNumber()
	m.unplug()
	err := f.Checkpoint()
	wantTrouble(t, err, dir, "the folder, or the part file in it, is gone")
	wantErr(t, err, assemble.ErrPartLost)
	_ = f.Close()

	_, err = assemble.Open(t.Context(), store, small().m, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	wantTrouble(t, err, filepath.Join(dir, "a.part"), "its file system is not mounted")
	wantErr(t, err, fs.ErrNotExist)
	wantNames(t, m.dir)

	newImage(t, "ext4", "") // has taken the device
	m.mount()
	if m.deviceNumber() == number {
		t.Log("mounted under the same device number")
	}
	goOn(t, store, dir)
}

// Into another folder a fetch whose disk is away can start over.
func TestUnmountedForGood(t *testing.T) {
	t.Parallel()
	store, m, dir := newStore(t), newImage(t, "ext4", ""), t.TempDir()
	_ = begun(t, store, m.dir).Close()
	m.unplug()
	s := small()
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	check(t, s.putAll(f))
	wantFile(t, finish(t, f), s.data)
}

// A file system that goes read-only under a fetch, as ext4 does after an error.
func TestTurnsReadOnly(t *testing.T) {
	t.Parallel()
	store, m := newStore(t), newImage(t, "ext4", "errors=remount-ro")
	f := begun(t, store, m.dir)
	trigger := filepath.Join("/sys/fs/ext4", m.device(), "trigger_fs_error")
	if err := os.WriteFile(trigger, []byte("test"), 0); err != nil {
		t.Skipf("no error can be made here: %v", err)
	}
	s := small()
	wantTrouble(t, s.put(f, s.pieces()[30]), m.dir, "the file system is read-only")
	_, err := assemble.Open(t.Context(), store, tiny().m, assemble.Target{Dir: m.dir, Name: "b"}, assemble.Config{})
	wantTrouble(t, err, m.dir, "the file system is read-only")
	_ = f.Close()
	m.repair()
	goOn(t, store, m.dir)
}

// A disk that fails in the middle of a fetch.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			store, m := newStore(t), newImage(t, kind, "")
			f := begun(t, store, m.dir)
			m.shutDown()
			s := small()
			wantTrouble(t, s.put(f, s.pieces()[30]), m.dir, "the disk reports an error")
			wantErr(t, s.put(f, s.pieces()[30]), unix.EIO)
			err := f.Checkpoint()
			wantTrouble(t, err, m.dir, "the disk reports an error")
			wantErr(t, err, assemble.ErrPartLost)
			_, err = assemble.Open(t.Context(), store, tiny().m, assemble.Target{Dir: m.dir, Name: "b"}, assemble.Config{})
			wantTrouble(t, err, m.dir, "the disk reports an error")
			_ = f.Close()
			m.replug()
			goOn(t, store, m.dir)
		})
	}
}

// A failed flush loses nothing that has a receipt, and is never tried again on
// the same handle: a second one would succeed without the bytes.
func TestFlushFails(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), small(), t.TempDir()
	fail := false
	d := &stepper{Disk: assemble.SystemDisk{}, index: store, at: func(step string) error {
		if fail && step == "before flush" {
			fail = false
			return &os.PathError{Op: "fdatasync", Path: filepath.Join(dir, "a.part"), Err: unix.EIO}
		}
		return nil
	}}
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, d.config(assemble.Config{}))
	check(t, s.put(f, s.pieces()[:20]...))
	check(t, f.Checkpoint())
	check(t, s.put(f, s.pieces()[20:]...))
	fail = true
	wantTrouble(t, f.Checkpoint(), dir, "the disk reports an error")
	wantErr(t, f.Checkpoint(), assemble.ErrPartLost)
	_, err := f.Finish(t.Context(), blockstore.Video{})
	wantErr(t, err, assemble.ErrPartLost)
	check(t, f.Close())
	r, err := store.Receipt(s.m.CID())
	check(t, err)
	if r.Masks[0] != 1<<20-1 || r.Masks[1] != 0 {
		t.Fatalf("receipt has masks %b", r.Masks)
	}
	goOn(t, store, dir)
}

const realCuts = 4 // of each file system

// As TestPowerCut, but it is a file system that loses what was not synced, and
// the index is on it.
func TestPowerCutOfFileSystem(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := newImage(t, kind, "")
			r := &trial{
				t: t, s: small(), rng: rand.New(rand.NewPCG(rand.Uint64(), 1)),
				base: m.dir, index: filepath.Join(m.dir, "index"), target: killTarget(m.dir),
			}
			source := filepath.Join(t.TempDir(), "source")
			check(t, os.WriteFile(source, r.s.data, 0o644))
			check(t, os.Symlink(source, filepath.Join(m.dir, "v.mp4")))
			check(t, openIndex(t, r.index).Close())
			check(t, exec.Command("sync", "-f", m.dir).Run())
			for range max(realCuts, *soak/5) {
				cutChild(r, m)
				m.replug()
				r.cuts++
				r.verify(false)
			}
			t.Logf("%d pieces were kept over %d cuts", r.kept, r.cuts)
			store := openIndex(t, r.index)
			check(t, errors.Join(r.run(store, assemble.Config{}), store.Close()))
			r.verify(true)
		})
	}
}

// cutChild shuts the file system down when a child that writes to it has done
// some of its steps.
func cutChild(r *trial, m *image) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+m.dir, killEnv+"=fetch")
	out, err := cmd.StdoutPipe()
	r.check(err)
	r.check(cmd.Start())
	steps := bufio.NewScanner(out)
	for range 1 + r.rng.IntN(120) {
		if !steps.Scan() {
			break
		}
	}
	m.shutDown()
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
}
