package assemble_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vidsync/vidsync/assemble"
	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

// mountTmpfs mounts a file system of so many MiB, or skips the test.
func mountTmpfs(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib))
	if err != nil {
		t.Skipf("mounting is not possible here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func growTmpfs(t *testing.T, dir string, mib int) {
	t.Helper()
	check(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%dm", mib)))
}

func wantNoSpace(t *testing.T, err error, dir string) {
	t.Helper()
	wantErr(t, err, assemble.ErrNoSpace)
	for _, part := range []string{dir, "needed", "free"} {
		if !strings.Contains(err.Error(), part) {
			t.Fatalf("error %q does not contain %q", err, part)
		}
	}
}

// Space is asked for before anything is fetched.
func TestFullDiskAtOpen(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), small(), mountTmpfs(t, 20)
	target := assemble.Target{Dir: dir, Name: "a"}
	_, err := assemble.Open(t.Context(), store, s.m, target, assemble.Config{})
	wantNoSpace(t, err, dir)
	wantNames(t, dir)
	_, err = assemble.Open(t.Context(), store, s.m, target, assemble.Config{Reserve: 1 << 30})
	wantNoSpace(t, err, dir)
	growTmpfs(t, dir, 48)
	f := openFile(t, store, s, target, assemble.Config{})
	check(t, s.putAll(f))
	wantFile(t, finish(t, f), s.data)
	check(t, f.Close())
}

// A disk that fills up while pieces come stops the fetch; what is there is
// kept, and the same Put works once there is room.
func TestFullDiskAtPut(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), small(), mountTmpfs(t, 20)
	target, cfg := assemble.Target{Dir: dir, Name: "a"}, assemble.WithDisk(assemble.Config{}, noAllocation{})
	f := openFile(t, store, s, target, cfg)
	refs := s.pieces()
	var err error
	n := 0
	for ; err == nil; n++ {
		err = s.put(f, refs[n])
	}
	n-- // this one did not fit
	wantNoSpace(t, err, dir)
	check(t, f.Close())
	f = openFile(t, store, s, target, cfg)
	if have, _ := f.Holdings(); have.Pieces() != n || n == 0 {
		t.Fatalf("%d pieces held after reopening, %d were put", have.Pieces(), n)
	}
	wantNoSpace(t, s.put(f, refs[n]), dir)
	growTmpfs(t, dir, 48)
	check(t, s.put(f, refs[n]))
	check(t, s.putAll(f))
	wantFile(t, finish(t, f), s.data)
	check(t, f.Close())
}

// On the file system of the index a fetch leaves the index room to write.
func TestReserveForIndex(t *testing.T) {
	t.Parallel()
	s, dir := small(), mountTmpfs(t, 110)
	store, err := blockstore.Open(filepath.Join(dir, "index"), blockstore.Config{})
	check(t, err)
	t.Cleanup(func() { check(t, store.Close()) })
	check(t, os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 40<<20), 0o644))
	target := assemble.Target{Dir: filepath.Join(dir, "out"), Name: "a"}
	_, err = assemble.Open(t.Context(), store, s.m, target, assemble.Config{})
	wantNoSpace(t, err, target.Dir)
	check(t, os.Remove(filepath.Join(dir, "ballast")))
	f := openFile(t, store, s, target, assemble.Config{})
	check(t, s.putAll(f))
	wantFile(t, finish(t, f), s.data)
	check(t, f.Close())
}

func TestReadOnlyFileSystem(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), tiny(), mountTmpfs(t, 20)
	check(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	_, err := assemble.Open(t.Context(), store, s.m, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	wantErr(t, err, unix.EROFS)
	if !strings.Contains(err.Error(), dir) {
		t.Fatalf("error does not name the folder: %v", err)
	}
}

// A target on another file system cannot take the part file along.
func TestTargetMovesToAnotherFileSystem(t *testing.T) {
	t.Parallel()
	store, s, from, to := newStore(t), tiny(), t.TempDir(), mountTmpfs(t, 20)
	f := openFile(t, store, s, assemble.Target{Dir: from, Name: "a"}, assemble.Config{})
	check(t, s.put(f, s.pieces()[:3]...))
	check(t, f.Close())
	f = openFile(t, store, s, assemble.Target{Dir: to, Name: "a"}, assemble.Config{})
	if have, _ := f.Holdings(); have.Pieces() != 0 {
		t.Fatalf("%d pieces held", have.Pieces())
	}
	wantNames(t, from)
	check(t, s.putAll(f))
	wantFile(t, finish(t, f), s.data)
	check(t, f.Close())
}

// Aligned pieces pass by the page cache, others go through it.
func TestDirectWrites(t *testing.T) {
	t.Parallel()
	store, s, dir := newStore(t), small(), t.TempDir()
	f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
	if !cachesNothing(t, dir) {
		t.Skip("the file system of the test folder has no direct writes")
	}
	if !hasDirectHandle(t, f.Part()) {
		t.Fatal("no handle of the part file is open for direct writes")
	}
	check(t, s.put(f, pieceRef{0, 4}))
	data, proof := s.piece(pieceRef{0, 9})
	check(t, f.Put(t.Context(), 0, 9, append(make([]byte, 1, len(data)+1), data...)[1:], proof))
	if n := cachedPages(t, f.Part(), 4*manifest.PieceSize, manifest.PieceSize); n != 0 {
		t.Errorf("%d pages of an aligned piece are in the page cache", n)
	}
	if n := cachedPages(t, f.Part(), 9*manifest.PieceSize, manifest.PieceSize); n == 0 {
		t.Error("no page of an unaligned piece is in the page cache")
	}
	check(t, s.putAll(f))
	wantFile(t, finish(t, f), s.data)
}

// cachesNothing tells whether direct writes are real on the folder's file
// system; tmpfs only accepts them.
func cachesNothing(t *testing.T, dir string) bool {
	t.Helper()
	var st unix.Statfs_t
	check(t, unix.Statfs(dir, &st))
	switch st.Type {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
		return true
	}
	return false
}

func hasDirectHandle(t *testing.T, path string) bool {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err != nil || to != path {
			continue
		}
		info, err := os.ReadFile("/proc/self/fdinfo/" + e.Name())
		check(t, err)
		var pos, flags int
		if _, err := fmt.Sscanf(string(info), "pos:\t%d\nflags:\t%o", &pos, &flags); err != nil {
			t.Fatal(err)
		}
		if flags&unix.O_DIRECT != 0 {
			return true
		}
	}
	return false
}

// cachedPages is how many pages of a range of a file are in memory.
func cachedPages(t *testing.T, path string, offset int64, n int) int {
	t.Helper()
	file, err := os.Open(path)
	check(t, err)
	defer file.Close()
	mapped, err := unix.Mmap(int(file.Fd()), offset, n, unix.PROT_READ, unix.MAP_SHARED)
	check(t, err)
	defer unix.Munmap(mapped)
	present := make([]byte, n/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mapped[0])), uintptr(n), uintptr(unsafe.Pointer(&present[0])))
	if errno != 0 {
		t.Fatal(errno)
	}
	count := 0
	for _, p := range present {
		count += int(p & 1)
	}
	return count
}

// On btrfs and XFS a local source costs no disk space.
func TestFillLocalSharesSpace(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"btrfs", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			store, s, dir := newStore(t), small(), mountImage(t, kind)
			source := filepath.Join(dir, "source")
			addFile(t, store, source, s)
			f := openFile(t, store, s, assemble.Target{Dir: dir, Name: "a"}, assemble.Config{})
			if n := fillLocal(t, f); n != smallSize {
				t.Fatalf("%d bytes filled", n)
			}
			path := finish(t, f)
			wantFile(t, path, s.data)
			check(t, f.Close())
			if a, b := firstExtent(t, source), firstExtent(t, path); a != b {
				t.Fatalf("the block lies at %d and at %d on the disk: it was copied", a, b)
			}
		})
	}
}

// firstExtent is where the first byte of a file lies on its disk.
func firstExtent(t *testing.T, path string) uint64 {
	t.Helper()
	file, err := os.Open(path)
	check(t, err)
	defer file.Close()
	check(t, file.Sync())
	request := struct {
		start, length           uint64
		flags, mapped, count, _ uint32
		extent                  struct {
			logical, physical, length uint64
			_                         [2]uint64
			flags                     uint32
			_                         [3]uint32
		}
	}{length: manifest.BlockSize, count: 1}
	const fiemap = 0xc020660b
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), fiemap, uintptr(unsafe.Pointer(&request))); errno != 0 {
		t.Fatal(errno)
	}
	return request.extent.physical
}
