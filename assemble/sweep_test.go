package assemble_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/assemble"
)

// Only what a killed CopyIn left is removed.
func TestSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stale, writing := assemble.CopyName("talk.mp4"), assemble.CopyName("other.mp4")
	others := []string{
		"talk.mp4", "talk.mp4.part", ".talk.mp4.part", ".talk.mp4.123.part", ".talk.mp4.vidsync-copy-12.part.bak",
		".talk.mp4.vidsync-copy-.part", ".talk.mp4.vidsync-copy-1x.part", "talk.mp4.vidsync-copy-12.part",
	}
	for _, name := range append(others, stale, writing) {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644))
	}
	folder, link := assemble.CopyName("folder"), assemble.CopyName("link")
	check(t, os.Mkdir(filepath.Join(dir, folder), 0o755))
	check(t, os.Symlink("talk.mp4", filepath.Join(dir, link)))
	held, err := os.Open(filepath.Join(dir, writing))
	check(t, err)
	defer held.Close()
	check(t, unix.Flock(int(held.Fd()), unix.LOCK_EX))

	removed, err := assemble.Sweep(dir)
	check(t, err)
	if want := []string{filepath.Join(dir, stale)}; !slices.Equal(removed, want) {
		t.Fatalf("removed %q, want %q", removed, want)
	}
	left := append(others, writing, folder, link)
	slices.Sort(left)
	wantNames(t, dir, left...)

	check(t, unix.Flock(int(held.Fd()), unix.LOCK_UN))
	if removed, err := assemble.Sweep(dir); err != nil || len(removed) != 1 {
		t.Fatalf("removed %q, %v once it was not locked any more", removed, err)
	}
	if removed, err := assemble.Sweep(filepath.Join(dir, "missing")); err != nil || len(removed) != 0 {
		t.Fatalf("a missing folder: %q, %v", removed, err)
	}
}

// The empty part file that a crash left before its receipt is used; one that
// somebody has locked, and those of others, are not.
func TestAdoptPart(t *testing.T) {
	t.Parallel()
	s := tiny()
	tests := []struct {
		name         string
		mark         string
		bytes        int64
		locked, used bool
	}{
		{"ours", s.m.CID().String(), 0, false, true},
		{"ours, locked", s.m.CID().String(), 0, true, false},
		{"ours, with bytes", s.m.CID().String(), 1, false, false},
		{"of another video", small().m.CID().String(), 0, false, false},
		{"unmarked", "", 0, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, dir := newStore(t), t.TempDir()
			left, err := os.Create(filepath.Join(dir, "a.part"))
			check(t, err)
			defer left.Close()
			check(t, left.Truncate(tt.bytes))
			if tt.mark != "" {
				check(t, unix.Fsetxattr(int(left.Fd()), "user.vidsync.part", []byte(tt.mark), 0))
			}
			if tt.locked {
				check(t, unix.Flock(int(left.Fd()), unix.LOCK_EX))
			}
			f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
			if used := f.Part() == left.Name(); used != tt.used {
				t.Fatalf("part file is %s", f.Part())
			}
			check(t, s.putAll(f))
			wantFile(t, finish(t, f), s.data)
		})
	}
}

// Two do not write one part file.
func TestPartIsLocked(t *testing.T) {
	t.Parallel()
	store, s := newStore(t), tiny()
	target := assemble.Target{Dir: t.TempDir(), Name: "a"}
	f := openFile(t, store, s, target, assemble.Config{})
	check(t, s.put(f, pieceRef{0, 0}))
	_, err := assemble.Open(t.Context(), store, s.m, target, assemble.Config{})
	wantTrouble(t, err, f.Part(), "another process is writing this part file")
	check(t, f.Close())
	f = openFile(t, store, s, target, assemble.Config{})
	if have, _ := f.Holdings(); have.Pieces() != 1 {
		t.Fatalf("%d pieces held", have.Pieces())
	}
}
