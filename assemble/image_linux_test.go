package assemble_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxReplugs bounds how often a file system is mounted again that somebody else
// has mounted as well.
const maxReplugs = 100

// image is a file system in a file, that can be unplugged and broken.
type image struct {
	t       *testing.T
	path    string
	options string
	dir     string // where it is mounted
}

// newImage makes a file system and mounts it, or skips the test.
func newImage(t *testing.T, kind, options string) *image {
	t.Helper()
	mkfs, err := exec.LookPath("mkfs." + kind)
	if err != nil {
		t.Skipf("mkfs.%s is not installed", kind)
	}
	base := t.TempDir()
	m := &image{t: t, path: filepath.Join(base, "image"), dir: filepath.Join(base, "mnt"), options: "loop"}
	if options != "" {
		m.options += "," + options
	}
	check(t, os.WriteFile(m.path, nil, 0o600))
	check(t, os.Truncate(m.path, 400<<20))
	check(t, os.Mkdir(m.dir, 0o755))
	if out, err := exec.Command(mkfs, m.path).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", mkfs, err, out)
	}
	if out, err := m.tryMount(); err != nil {
		t.Skipf("mounting is not possible here: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = unix.Unmount(m.dir, unix.MNT_DETACH) })
	return m
}

// mountImage mounts a new file system in a file, or skips the test.
func mountImage(t *testing.T, kind string) string {
	t.Helper()
	return newImage(t, kind, "").dir
}

func (m *image) tryMount() ([]byte, error) {
	return exec.Command("mount", "-o", m.options, m.path, m.dir).CombinedOutput()
}

func (m *image) mount() {
	m.t.Helper()
	if out, err := m.tryMount(); err != nil {
		m.t.Fatalf("mount: %v: %s", err, out)
	}
}

// unplug takes the file system away from whoever uses it.
func (m *image) unplug() {
	m.t.Helper()
	check(m.t, unix.Unmount(m.dir, unix.MNT_DETACH))
}

// replug unmounts the file system, which nobody uses, and mounts it again.
func (m *image) replug() {
	m.t.Helper()
	for range maxReplugs {
		m.unmount()
		m.mount()
		probe := filepath.Join(m.dir, "probe")
		if err := os.WriteFile(probe, nil, 0o600); !errors.Is(err, unix.EIO) {
			check(m.t, errors.Join(err, os.Remove(probe)))
			return
		}
	}
	m.t.Skip("another mount namespace holds the file system that was shut down")
}

// repair is replug with a check of an ext4 file system in between.
func (m *image) repair() {
	m.t.Helper()
	m.unmount()
	out, err := exec.Command("e2fsck", "-f", "-y", m.path).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() > 1) { // 1: errors were mended
		m.t.Fatalf("e2fsck: %v: %s", err, out)
	}
	m.mount()
}

func (m *image) unmount() {
	m.t.Helper()
	err := unix.Unmount(m.dir, 0)
	for err == unix.EBUSY { // a child that is just being started
		pause()
		err = unix.Unmount(m.dir, 0)
	}
	check(m.t, err)
}

// shutDown has every access fail from now on. What was not synced is lost, as
// in a power cut.
func (m *image) shutDown() {
	m.t.Helper()
	dir, err := os.Open(m.dir)
	check(m.t, err)
	defer dir.Close()
	const goingDown, withoutLog = 0x8004587d, 2
	how := uint32(withoutLog)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), goingDown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		m.t.Skipf("this file system cannot be shut down: %v", errno)
	}
}

// device is the name of the block device, without its folder.
func (m *image) device() string {
	m.t.Helper()
	out, err := exec.Command("findmnt", "-n", "-o", "SOURCE", m.dir).Output()
	if err != nil {
		m.t.Skipf("findmnt: %v", err)
	}
	return filepath.Base(strings.TrimSpace(string(out)))
}

func (m *image) deviceNumber() uint64 {
	m.t.Helper()
	info, err := os.Stat(m.dir)
	check(m.t, err)
	return info.Sys().(*syscall.Stat_t).Dev
}
