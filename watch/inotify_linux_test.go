package watch_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/watch"
)

// noLook makes sure that a test sees what notices alone do.
const noLook = 24 * time.Hour

func quick(dir string) watch.Config {
	return watch.Config{Dir: dir, Settle: 200 * time.Millisecond, Rescan: noLook}
}

func TestNotices(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, at func(string) string)
		want []string
	}{
		{"written", func(t *testing.T, at func(string) string) {
			write(t, at("a.mp4"), 10)
		}, []string{"finished a.mp4 10"}},
		{"written in steps", func(t *testing.T, at func(string) string) {
			for range 15 {
				grow(t, at("a.mp4"), 10)
				time.Sleep(40 * time.Millisecond)
			}
		}, []string{"finished a.mp4 150"}},
		{"moved in", func(t *testing.T, at func(string) string) {
			write(t, at("../a"), 10)
			rename(t, at("../a"), at("a.mp4"))
		}, []string{"finished a.mp4 10"}},
		{"renamed when done", func(t *testing.T, at func(string) string) {
			write(t, at("a.mp4.part"), 10)
			time.Sleep(400 * time.Millisecond)
			rename(t, at("a.mp4.part"), at("a.mp4"))
		}, []string{"finished a.mp4 10"}},
		{"linked in", func(t *testing.T, at func(string) string) {
			write(t, at("../a"), 10)
			if err := os.Link(at("../a"), at("a.mp4")); err != nil {
				t.Fatal(err)
			}
		}, []string{"finished a.mp4 10"}},
		{"folders made with what is in them", func(t *testing.T, at func(string) string) {
			for i := range 20 {
				mkdir(t, at(fmt.Sprintf("d%d/e/f", i)))
				write(t, at(fmt.Sprintf("d%d/e/f/a.mp4", i)), 1+i)
			}
		}, deep(20)},
		{"folder moved in", func(t *testing.T, at func(string) string) {
			for i := range 20 {
				mkdir(t, at(fmt.Sprintf("../out/d%d/e/f", i)))
				write(t, at(fmt.Sprintf("../out/d%d/e/f/a.mp4", i)), 1+i)
			}
			for i := range 20 {
				rename(t, at(fmt.Sprintf("../out/d%d", i)), at(fmt.Sprintf("d%d", i)))
			}
		}, deep(20)},
		{"folder renamed, then written into", func(t *testing.T, at func(string) string) {
			mkdir(t, at("x/y"))
			time.Sleep(100 * time.Millisecond)
			rename(t, at("x"), at("z"))
			time.Sleep(100 * time.Millisecond)
			write(t, at("z/y/a.mp4"), 10)
		}, []string{"finished z/y/a.mp4 10"}},
		{"folder replaced, then written into", func(t *testing.T, at func(string) string) {
			mkdir(t, at("x"))
			time.Sleep(100 * time.Millisecond)
			rename(t, at("x"), at("../x"))
			mkdir(t, at("x"))
			time.Sleep(100 * time.Millisecond)
			write(t, at("../x/no.mp4"), 10)
			write(t, at("x/a.mp4"), 10)
		}, []string{"finished x/a.mp4 10"}},
		{"not a file any more", func(t *testing.T, at func(string) string) {
			write(t, at("a.mp4"), 10)
			remove(t, at("a.mp4"))
			write(t, at("b.mp4"), 10)
		}, []string{"finished b.mp4 10"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "d")
			mkdir(t, dir)
			s := begin(t, quick(dir), newLedger())
			time.Sleep(100 * time.Millisecond)
			tt.do(t, func(name string) string { return filepath.Join(dir, name) })
			s.want(tt.want...)
			s.wantNothing(400 * time.Millisecond)
		})
	}
}

func deep(n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf("finished d%d/e/f/a.mp4 %d", i, 1+i))
	}
	return lines
}

// A writer that keeps the file open is waited for, although its pauses are
// longer than Settle and others open and close the file.
func TestWriterThatPauses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := begin(t, quick(dir), newLedger())
	path := filepath.Join(dir, "a.mp4")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := f.Write(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		grow(t, path, 0) // opened and closed by somebody else
		s.wantNothing(600 * time.Millisecond)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s.want("finished a.mp4 30")
}

func TestLiveNotices(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := quick(dir)
	cfg.Live = true
	s := begin(t, cfg, newLedger())
	time.Sleep(100 * time.Millisecond)
	f, err := os.Create(filepath.Join(dir, "a.mts"))
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, err := f.Write(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Millisecond)
	}
	lines := s.lines()
	if len(lines) < 1 || len(lines) > 2 {
		t.Errorf("in a second and a half: %q", lines)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s.want("finished a.mts 500")
}

// Every descriptor is closed when Run ends, also of folders being read.
func TestDescriptorsAreClosed(t *testing.T) {
	dir := t.TempDir()
	for i := range 50 {
		mkdir(t, filepath.Join(dir, fmt.Sprintf("d%d/e", i)))
		write(t, filepath.Join(dir, fmt.Sprintf("d%d/e/a.mp4", i)), 10)
	}
	before := descriptors(t)
	for i := range 20 {
		s := begin(t, quick(dir), newLedger())
		time.Sleep(offBeat + time.Duration(i)*time.Millisecond)
		s.stop()
	}
	s := begin(t, quick(dir), newLedger())
	for n := 0; len(s.ledger.snapshot()) < 50 && n < 100; n++ {
		time.Sleep(50 * time.Millisecond)
	}
	if got := descriptors(t); got > before+3 { // inotify and the poller's
		t.Errorf("%d descriptors while nothing happens, %d before", got, before)
	}
	s.stop()
	if got := descriptors(t); got > before+2 {
		t.Errorf("%d descriptors at the end, %d before", got, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// mountTmpfs mounts a file system on a new folder, or skips the test.
func mountTmpfs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting is not possible here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func bind(t *testing.T, from, to string) {
	t.Helper()
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(to, unix.MNT_DETACH) })
}

func unmount(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
}

// A card that is taken out and put back: nothing of it is gone.
func TestUnmount(t *testing.T) {
	t.Parallel()
	card, dir := mountTmpfs(t), t.TempDir()
	write(t, filepath.Join(card, "a.mp4"), 1)
	mkdir(t, filepath.Join(card, "sub"))
	write(t, filepath.Join(card, "sub/b.mp4"), 2)
	bind(t, card, dir)
	cfg := quick(dir)
	cfg.Rescan = 300 * time.Millisecond
	s := begin(t, cfg, newLedger())
	s.want("finished a.mp4 1", "finished sub/b.mp4 2")
	unmount(t, dir)
	s.want("unavailable .")
	s.wantNothing(time.Second)
	remove(t, filepath.Join(card, "a.mp4"))
	write(t, filepath.Join(card, "c.mp4"), 3)
	bind(t, card, dir)
	s.want("available .", "finished c.mp4 3")
	s.wantNothing(time.Second)
	if n := s.log.count("folder is not there"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
}

// A card below the watched folder: nothing of it is gone when it is taken
// out, whether or not its folder stays.
func TestUnmountBelow(t *testing.T) {
	t.Parallel()
	card, dir := mountTmpfs(t), t.TempDir()
	slot := filepath.Join(dir, "cards/one")
	mkdir(t, filepath.Join(card, "sub"))
	mkdir(t, slot)
	write(t, filepath.Join(card, "sub/b.mp4"), 2)
	write(t, filepath.Join(dir, "cards/a.mp4"), 1)
	cfg := quick(dir)
	cfg.Rescan = 300 * time.Millisecond
	s := begin(t, cfg, newLedger())
	s.want("finished cards/a.mp4 1")
	bind(t, card, slot)
	s.want("finished cards/one/sub/b.mp4 2")
	unmount(t, slot)
	s.wantNothing(1500 * time.Millisecond)
	bind(t, card, slot)
	s.wantNothing(1500 * time.Millisecond)
	if err := errors.Join(unix.Unmount(slot, unix.MNT_DETACH), os.Remove(slot)); err != nil {
		t.Fatal(err)
	}
	s.wantNothing(1500 * time.Millisecond)
	remove(t, filepath.Join(dir, "cards/a.mp4"))
	s.want("gone cards/a.mp4")
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x01\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00a.mp4\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x01\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xffa.mp4"))
	f.Add([]byte("\xff\xff\xff\xff\x00\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n := watch.HeardIn(data); n > len(data)/unix.SizeofInotifyEvent {
			t.Errorf("heard of %d names in %d bytes", n, len(data))
		}
	})
}
