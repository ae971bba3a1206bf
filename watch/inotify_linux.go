package watch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// inotifyBuffer holds a thousand events and more; the kernel keeps the rest.
	inotifyBuffer = 64 << 10
	// inotifyPause is waited between two reads, so that the kernel folds what a
	// busy writer causes and this process is not woken for every write.
	inotifyPause = 20 * time.Millisecond

	inotifyMask = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_CREATE | unix.IN_DELETE |
		unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_EXCL_UNLINK | unix.IN_ONLYDIR
)

var errWatchLimit = errors.New("limit of watched folders reached; raise fs.inotify.max_user_watches (sysctl)")

// inotify speaks to the kernel itself: fsnotify does not tell when a writer
// closes a file (IN_CLOSE_WRITE).
type inotify struct {
	file *os.File // in non-blocking mode, so that closing it ends a read
	conn syscall.RawConn
	mask uint32
	log  *slog.Logger
}

func openNotifier(cfg Config) (notifier, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == unix.EMFILE {
		return nil, fmt.Errorf("inotify: too many open files, or raise fs.inotify.max_user_instances (sysctl): %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	n := &inotify{file: os.NewFile(uintptr(fd), "inotify"), mask: inotifyMask, log: cfg.Logger.With("dir", cfg.Dir)}
	if cfg.Live {
		n.mask |= unix.IN_MODIFY
	}
	if n.conn, err = n.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("inotify: %w", err), n.file.Close())
	}
	return n, nil
}

func (n *inotify) watch(path string, follow bool) (int32, error) {
	mask := n.mask
	if !follow {
		mask |= unix.IN_DONT_FOLLOW
	}
	number, err := -1, error(nil)
	if closed := n.conn.Control(func(fd uintptr) {
		number, err = unix.InotifyAddWatch(int(fd), path, mask)
	}); closed != nil {
		return -1, closed
	}
	if err == unix.ENOSPC {
		err = errWatchLimit
	}
	if err != nil {
		return -1, fmt.Errorf("watch %s: %w", path, err)
	}
	return int32(number), nil
}

func (n *inotify) unwatch(number int32) {
	// Errors mean that the kernel dropped the watch before, with its folder, or
	// that run has ended.
	_ = n.conn.Control(func(fd uintptr) {
		_, _ = unix.InotifyRmWatch(int(fd), uint32(number))
	})
}

func (n *inotify) run(ctx context.Context, to *notes) {
	stop := context.AfterFunc(ctx, func() { _ = n.file.Close() })
	defer func() {
		if stop() {
			_ = n.file.Close()
		}
	}()
	buf := make([]byte, inotifyBuffer)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		size, err := n.file.Read(buf)
		if err != nil {
			if ctx.Err() == nil {
				n.log.Warn("changes are not noticed at once any more, only by looking again", "err", err)
			}
			return
		}
		readEvents(buf[:size], to)
		pause.Reset(inotifyPause)
	}
}

// readEvents adds what the kernel wrote into buf to the notes.
func readEvents(buf []byte, to *notes) {
	for len(buf) >= unix.SizeofInotifyEvent {
		number := int32(binary.NativeEndian.Uint32(buf))
		mask := binary.NativeEndian.Uint32(buf[4:])
		length := binary.NativeEndian.Uint32(buf[12:])
		buf = buf[unix.SizeofInotifyEvent:]
		if uint64(length) > uint64(len(buf)) {
			to.overflow()
			return
		}
		name := strings.TrimRight(string(buf[:length]), "\x00")
		buf = buf[length:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			to.overflow()
			continue
		}
		if h := hintOf(mask); h != 0 {
			to.add(place{number, name}, h)
		}
	}
}

func hintOf(mask uint32) hint {
	var h hint
	for _, m := range []struct {
		mask uint32
		hint hint
	}{
		{unix.IN_CLOSE_WRITE, hintClosed},
		{unix.IN_MOVED_TO, hintMovedIn},
		{unix.IN_CREATE | unix.IN_MODIFY, hintWritten},
		{unix.IN_DELETE | unix.IN_MOVED_FROM, hintRemoved},
		{unix.IN_ISDIR, hintFolder},
		{unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT | unix.IN_IGNORED, hintSelf},
	} {
		if mask&m.mask != 0 {
			h |= m.hint
		}
	}
	return h
}
