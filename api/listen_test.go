package api_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/vidsync/vidsync/api"
)

func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestListenPermissions(t *testing.T) {
	old := syscall.Umask(0) // the worst one: nothing is withheld by it
	defer syscall.Umask(old)
	path := filepath.Join(socketDir(t), "s.sock")
	l := listen(t, path)
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := fs.ModeSocket | 0o600; info.Mode() != want {
		t.Errorf("mode %v, want %v", info.Mode(), want)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close: %v, want the socket gone", err)
	}
}

// No connection may succeed while the socket's mode is not yet 0600. Whoever
// gets in must find it so.
func TestListenLeavesNoGap(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := socketDir(t)
	for i := range 100 {
		path := filepath.Join(dir, "s"+string(rune('a'+i%26)))
		var dialer sync.WaitGroup
		dialer.Go(func() {
			for {
				conn, err := net.Dial("unix", path)
				if err != nil {
					continue
				}
				defer conn.Close()
				if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("connected to a socket with %v, %v", info, err)
				}
				return
			}
		})
		l, err := api.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		dialer.Wait()
		l.Close()
	}
}

func TestListenReplacesDeadSocket(t *testing.T) {
	path := filepath.Join(socketDir(t), "s.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	_, err = api.NewClient(path).Ping(t.Context())
	wantError(t, err, api.CodeNoDaemon)
	serveOn(t, listen(t, path), api.Handler(new(fakeNode), api.HandlerConfig{}))
	if _, err := api.NewClient(path).Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestListenLeavesLiveSocket(t *testing.T) {
	path := filepath.Join(socketDir(t), "s.sock")
	serveOn(t, listen(t, path), api.Handler(new(fakeNode), api.HandlerConfig{}))
	_, err := api.Listen(path)
	wantError(t, err, api.CodeInUse)
	if _, err := api.NewClient(path).Ping(t.Context()); err != nil {
		t.Errorf("the first daemon: %v", err)
	}
}

// XDG_RUNTIME_DIR is there, a folder of ours in it is not.
func TestListenMakesItsFolder(t *testing.T) {
	path := filepath.Join(socketDir(t), "vidsync", "s.sock")
	listen(t, path)
	info, err := os.Stat(filepath.Dir(path))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info, err)
	}
}

func TestListenLeavesOtherFiles(t *testing.T) {
	dir := socketDir(t)
	live := filepath.Join(dir, "live")
	listen(t, live)
	tests := map[string]func(path string) error{
		"file":           func(p string) error { return os.WriteFile(p, []byte("mine"), 0o600) },
		"folder":         func(p string) error { return os.Mkdir(p, 0o700) },
		"dangling link":  func(p string) error { return os.Symlink(filepath.Join(dir, "nowhere"), p) },
		"link to socket": func(p string) error { return os.Symlink(live, p) },
		"pipe":           func(p string) error { return syscall.Mkfifo(p, 0o600) },
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			before, beforeErr := os.Lstat(path)
			_, err := api.Listen(path)
			wantError(t, err, api.CodeOther)
			after, afterErr := os.Lstat(path)
			if beforeErr == nil && (afterErr != nil || !os.SameFile(before, after)) {
				t.Errorf("the file is not as before: %v", afterErr)
			}
		})
	}
}

// A daemon that ends late must not take away the socket of the next.
func TestCloseLeavesLaterSocket(t *testing.T) {
	path := filepath.Join(socketDir(t), "s.sock")
	first := listen(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	listen(t, path)
	first.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the later socket: %v", err)
	}
}

// longPath is a path too long for a socket. The folder for short paths is
// inside the test's own temporary folder.
func longPath(t *testing.T) (path, short string) {
	t.Helper()
	tmp := socketDir(t)
	t.Setenv("TMPDIR", tmp)
	dir := filepath.Join(tmp, strings.Repeat("long", 40))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "vidsync.sock"), filepath.Join(tmp, "vidsync-"+strconv.Itoa(os.Geteuid()))
}

func TestLongPath(t *testing.T) {
	path, folder := longPath(t)
	_, err := api.NewClient(path).Ping(t.Context())
	wantError(t, err, api.CodeNoDaemon)

	l := listen(t, path)
	stop := serveOn(t, l, api.Handler(new(fakeNode), api.HandlerConfig{}))
	_, err = api.Listen(path)
	wantError(t, err, api.CodeInUse)

	t.Setenv("TMPDIR", "/elsewhere") // the record is what counts, not the client's TMPDIR
	if _, err := api.NewClient(path).Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
	place, err := api.SocketPath(path)
	if err != nil || filepath.Dir(place) != folder || place != l.Addr().String() {
		t.Errorf("socket at %q, %v, want it in %s", place, err, folder)
	}
	if info, err := os.Lstat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info, err)
	}
	stop()
	for _, gone := range []string{place, path + ".path"} {
		if _, err := os.Lstat(gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after Close %s: %v, want it gone", gone, err)
		}
	}
}

func TestLongPathAfterCrash(t *testing.T) {
	path, folder := longPath(t)
	l := listen(t, path)
	place := l.Addr().String()
	saved, err := os.ReadFile(path + ".path")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: place})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if err := os.WriteFile(path+".path", saved, 0o600); err != nil {
		t.Fatal(err)
	}
	serveOn(t, listen(t, path), api.Handler(new(fakeNode), api.HandlerConfig{}))
	if _, err := api.NewClient(path).Ping(t.Context()); err != nil {
		t.Errorf("in %s: %v", folder, err)
	}
}

func TestLongPathRefusesUnsafeFolder(t *testing.T) {
	tests := map[string]func(t *testing.T, folder string){
		"open to others": func(t *testing.T, folder string) {
			if err := errors.Join(os.Mkdir(folder, 0o700), os.Chmod(folder, 0o755)); err != nil {
				t.Fatal(err)
			}
		},
		"link": func(t *testing.T, folder string) {
			if err := os.Symlink(socketDir(t), folder); err != nil {
				t.Fatal(err)
			}
		},
		"file": func(t *testing.T, folder string) {
			if err := os.WriteFile(folder, nil, 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"another user's": func(t *testing.T, folder string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			if err := errors.Join(os.Mkdir(folder, 0o700), os.Chown(folder, 12345, -1)); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			path, folder := longPath(t)
			prepare(t, folder)
			_, err := api.Listen(path)
			wantError(t, err, api.CodeOther)
			// The client does not go there either.
			if err := os.WriteFile(path+".path", []byte(filepath.Join(folder, "x.sock\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			if place, err := api.SocketPath(path); err == nil {
				t.Errorf("SocketPath leads to %s", place)
			}
		})
	}
}

func TestRecordsNotOurs(t *testing.T) {
	tests := map[string]func(record, folder string) error{
		"relative":  func(r, _ string) error { return os.WriteFile(r, []byte("s.sock"), 0o600) },
		"empty":     func(r, _ string) error { return os.WriteFile(r, nil, 0o600) },
		"two lines": func(r, f string) error { return os.WriteFile(r, []byte(f+"/a\n/b\n"), 0o600) },
		"NUL":       func(r, f string) error { return os.WriteFile(r, []byte(f+"/a\x00"), 0o600) },
		"too long": func(r, f string) error {
			return os.WriteFile(r, []byte(f+"/"+strings.Repeat("x", 5000)), 0o600)
		},
		"link": func(r, f string) error {
			return errors.Join(os.WriteFile(f+"/r", []byte(f+"/s"), 0o600), os.Symlink(f+"/r", r))
		},
		"pipe":   func(r, _ string) error { return syscall.Mkfifo(r, 0o600) },
		"folder": func(r, _ string) error { return os.Mkdir(r, 0o700) },
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			path, folder := longPath(t)
			if err := errors.Join(os.Mkdir(folder, 0o700), make(path+".path", folder)); err != nil {
				t.Fatal(err)
			}
			if place, err := api.SocketPath(path); err == nil {
				t.Errorf("SocketPath leads to %s", place)
			}
			_, err := api.NewClient(path).Ping(t.Context())
			wantError(t, err, api.CodeNoDaemon)
		})
	}
}

func TestMayConnect(t *testing.T) {
	for _, test := range []struct {
		uid, owner int
		want       bool
	}{{1000, 1000, true}, {0, 1000, true}, {1001, 1000, false}, {1000, 0, false}, {0, 0, true}, {-1, 1000, false}} {
		if got := api.MayConnect(test.uid, test.owner); got != test.want {
			t.Errorf("mayConnect(%d, %d) = %v", test.uid, test.owner, got)
		}
	}
}

func TestPeerUID(t *testing.T) {
	path := filepath.Join(socketDir(t), "s.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if uid, err := api.PeerUID(s); err != nil || uid != os.Geteuid() {
		t.Errorf("got %d, %v, want %d", uid, err, os.Geteuid())
	}
}
