package watch_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/watch"
)

// disorder does things to a folder at random.
type disorder struct {
	t    *testing.T
	dir  string
	rand *rand.Rand
}

func (d *disorder) folder() string {
	return []string{"", "x", "y", "x/p", "y/q", ".h"}[d.rand.IntN(6)]
}

func (d *disorder) file() string {
	names := []string{"1.mp4", "2.mp4", "3.mp4", "4.mp4", "5.mp4.part"}
	return filepath.Join(d.dir, d.folder(), names[d.rand.IntN(len(names))])
}

// step does one thing. Most errors mean that there is nothing to do it to.
func (d *disorder) step() {
	switch d.rand.IntN(10) {
	case 0, 1, 2:
		path := d.file()
		_ = os.MkdirAll(filepath.Dir(path), 0o755)
		_ = os.WriteFile(path, make([]byte, d.rand.IntN(50)), 0o644)
	case 3:
		if path := d.file(); exists(path) {
			grow(d.t, path, 1+d.rand.IntN(50))
		}
	case 4, 5, 6:
		_ = os.Rename(d.file(), d.file())
	case 7:
		_ = os.Remove(d.file())
	case 8:
		_ = os.Rename(filepath.Join(d.dir, d.folder()), filepath.Join(d.dir, d.folder()))
	case 9:
		if d.rand.IntN(4) == 0 {
			_ = os.RemoveAll(filepath.Join(d.dir, "x"))
		}
	}
}

func exists(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.Mode().IsRegular()
}

// there is what a folder holds, as the ledger should have it.
func there(t *testing.T, dir string) map[string]watch.Identity {
	t.Helper()
	found := map[string]watch.Identity{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && e.Name() == ".h" {
			return fs.SkipDir
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if e.Type().IsRegular() && st.Size > 0 && filepath.Ext(path) == ".mp4" {
			found[path] = watch.Identity{
				Size: st.Size, ModTime: st.Mtim.Nano(), ChangeTime: st.Ctim.Nano(), Inode: st.Ino, Device: uint64(st.Dev),
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// differences tells how the ledger differs from what is there.
func differences(ledger, there map[string]watch.Identity) []string {
	var d []string
	for path, id := range there {
		if ledger[path] != id {
			d = append(d, fmt.Sprintf("%s is %+v, on record %+v", path, id, ledger[path]))
		}
	}
	for path := range ledger {
		if _, ok := there[path]; !ok {
			d = append(d, path+" is on record and not there")
		}
	}
	return d
}

// Whatever happens in a folder, what was told is in the end what is there:
// also when handle is slow and fails, and after Run was begun anew.
func TestDisorderByLookingAgain(t *testing.T) {
	for seed := range uint64(40) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			d := &disorder{t: t, dir: dir, rand: rand.New(rand.NewPCG(seed, 1))}
			l := newLedger()
			s := begin(t, watch.Config{Dir: dir, Live: seed%2 == 0}, l, passOnly, unreliable(seed))
			for range 150 {
				d.step()
				time.Sleep(time.Duration(d.rand.ExpFloat64() * float64(8*time.Second)))
			}
			time.Sleep(time.Hour)
			s.stop()
			for _, diff := range differences(l.snapshot(), there(t, dir)) {
				t.Errorf("seed %d: %s", seed, diff)
			}
			if n := len(s.lines()); n < 10 {
				t.Errorf("seed %d: only %d events", seed, n)
			}
		})
	}
}

func TestDisorderWithNotices(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := &disorder{t: t, dir: dir, rand: rand.New(rand.NewPCG(seed, 2))}
			l := newLedger()
			begin(t, watch.Config{Dir: dir, Live: seed%2 == 0, Settle: 50 * time.Millisecond, Rescan: time.Second}, l)
			for range 150 {
				d.step()
				time.Sleep(time.Duration(d.rand.ExpFloat64() * float64(10*time.Millisecond)))
			}
			diffs := []string{"not looked yet"}
			for n := 0; len(diffs) > 0 && n < 100; n++ {
				time.Sleep(100 * time.Millisecond)
				diffs = differences(l.snapshot(), there(t, dir))
			}
			for _, diff := range diffs {
				t.Error(diff)
			}
		})
	}
}

// unreliable makes handle slow, and fail every fifth time.
func unreliable(seed uint64) func(*session, *watch.Folder) {
	r := rand.New(rand.NewPCG(seed, 3))
	return func(s *session, _ *watch.Folder) {
		s.handle = func(context.Context, watch.Event) error {
			time.Sleep(time.Duration(r.ExpFloat64() * float64(time.Second)))
			if r.IntN(5) == 0 {
				return errFull
			}
			return nil
		}
	}
}
