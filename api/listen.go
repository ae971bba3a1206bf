package api

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// probeTimeout bounds the test whether someone answers on a socket.
const probeTimeout = time.Second

// Listen listens on a Unix socket at path that only its owner can connect to:
// its mode is 0600 before it accepts anyone, and connections of other users
// than the owner and root are closed at once. The folder must exist. A path
// too long for a socket is replaced as SocketPath describes.
//
// A socket that nobody answers on is replaced. One that is answered is an
// *Error with CodeInUse; a file that is no socket is left alone. Two calls at
// the same moment could take each other's socket for a dead one: the caller
// must hold the home's lock. Close removes the socket.
func Listen(path string) (net.Listener, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, Errorf(CodeOther, "make %s absolute: %w", path, err)
	}
	if old, err := SocketPath(abs); err == nil {
		if err := clearStale(old); err != nil {
			return nil, err
		}
	}
	place, record := abs, ""
	if len(abs) > maxSocketPath {
		record = abs + recordSuffix
		if place, err = shortPath(abs); err != nil {
			return nil, Errorf(CodeOther, "find a short path for the socket %s: %w", path, err)
		}
		if err := clearStale(place); err != nil {
			return nil, err
		}
	}
	// XDG_RUNTIME_DIR and the like have no folder of ours yet.
	if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
		return nil, Errorf(CodeOther, "make socket %s: %w", path, err)
	}
	l, err := bind(place, record)
	if err != nil {
		return nil, Errorf(CodeOther, "make socket %s: %w", path, err)
	}
	return l, nil
}

// clearStale removes a socket that nobody answers on.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return Errorf(CodeOther, "look at socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return Errorf(CodeOther, "%s is not a socket; move it away or choose another home", path)
	}
	conn, err := net.DialTimeout("unix", path, probeTimeout)
	if err == nil {
		conn.Close()
		return Errorf(CodeInUse, "another daemon answers at %s; stop it first or choose another home", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return Errorf(CodeInUse, "another daemon may be at %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return Errorf(CodeOther, "remove dead socket: %w", err)
	}
	return nil
}

// bind makes a socket at path and records it in the file record, unless that
// is "". The socket is made by hand because net.Listen leaves no gap between
// bind, when it gets its name with the mode that the umask gives, and listen,
// from when on others could connect. The mode is set in that gap. Changing the
// umask instead would touch all goroutines.
func bind(path, record string) (*listener, error) {
	fd, err := newSocket()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close() // net.FileListener has its own copy
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, &os.PathError{Op: "bind", Path: path, Err: err}
	}
	u, info, err := listenPrivately(f, path)
	if err != nil {
		os.Remove(path)
		return nil, err
	}
	l := &listener{unix: u, path: path, info: info, record: record}
	if record == "" {
		return l, nil
	}
	if err := writeRecord(record, path); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func listenPrivately(f *os.File, path string) (*net.UnixListener, fs.FileInfo, error) {
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, nil, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.Listen(int(f.Fd()), unix.SOMAXCONN); err != nil {
		return nil, nil, &os.PathError{Op: "listen", Path: path, Err: err}
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, nil, err
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		panic("api: internal error: a Unix socket's listener is none")
	}
	return u, info, nil
}

// newSocket makes a socket that no child process inherits.
func newSocket() (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return fd, err
}

// listener accepts connections of its owner and root.
type listener struct {
	unix   *net.UnixListener
	path   string
	info   fs.FileInfo // of the socket as made
	record string      // file that tells of path, or ""
	remove sync.Once
}

// Accept waits for the next connection whose other end may use the daemon.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.unix.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(conn); err == nil && mayConnect(uid, os.Geteuid()) {
			return conn, nil
		}
		conn.Close()
	}
}

// mayConnect reports whether user uid may use a daemon of user owner.
func mayConnect(uid, owner int) bool { return uid == owner || uid == 0 }

// Close removes the socket, if it still is the one that Listen made, and stops
// listening.
func (l *listener) Close() error {
	l.remove.Do(func() {
		if info, err := os.Lstat(l.path); err != nil || !os.SameFile(info, l.info) {
			return // a later daemon's
		}
		os.Remove(l.path) // if it stays, the next Listen finds it dead
		if l.record != "" {
			os.Remove(l.record)
		}
	})
	return l.unix.Close()
}

// Addr is the socket's real path.
func (l *listener) Addr() net.Addr { return l.unix.Addr() }
