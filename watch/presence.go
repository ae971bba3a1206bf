package watch

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// presencePause is the pause between two looks whether the folder itself is
// there: what is mounted over it tells nobody.
const presencePause = 5 * time.Second

// presence is whether the watched folder is there.
type presence struct {
	there  bool
	device uint64 // while there; 0: not looked at yet
	check  time.Duration
	reason string // why it is not there
	// told is what handle was told last, and news what it is still to be told:
	// at most that the folder went and came back.
	told bool
	news []Kind
	// fails counts how many times in a row handle could not be told, retry is
	// when to try again.
	fails uint8
	retry time.Duration
}

// checkPresence looks whether the folder is there.
func (t *tracker) checkPresence() {
	p := &t.presence
	p.check = t.now() + min(t.cfg.Rescan, presencePause)
	if !p.there {
		t.comeBack()
		return
	}
	var st unix.Stat_t
	err := ignoringEINTR(func() error { return unix.Stat(t.cfg.Dir, &st) })
	switch {
	case err != nil && isShortage(err):
	case err != nil:
		t.leave(err.Error())
	case !isFolder(&st):
		t.leave("not a folder")
	case p.device == 0 || p.device == uint64(st.Dev):
		t.arrive(uint64(st.Dev))
	case t.tree.empty():
		t.arrive(uint64(st.Dev))
		t.lookAtAll()
	default:
		t.leave("another file system is there")
		t.comeBack()
	}
}

// doubt has the presence checked at once: something is not there any more, and
// nobody said so. If all of it went, it is looked at again when it is back, also
// if that is before the next check.
func (t *tracker) doubt() { t.presence.check = t.now() }

func (t *tracker) arrive(device uint64) {
	t.presence.device = device
	t.tree.root.device = device
}

// leave takes note that the folder is not there. Its files are forgotten, not
// told as gone.
func (t *tracker) leave(reason string) {
	p := &t.presence
	if !p.there {
		return
	}
	t.log.Warn("folder is not there", "reason", reason)
	t.looked.Store(false)
	t.walk.abort()
	t.dropBelow(t.tree.root, t.forget)
	for _, f := range t.tree.missing {
		t.forget(f)
	}
	if t.tree.root.watch >= 0 {
		t.unnotice(t.tree.root)
	}
	p.there, p.reason, p.news = false, reason, nil
	if p.told {
		p.news = []Kind{Unavailable}
	}
}

// comeBack looks whether the folder is there again. An empty folder on another
// file system is where something else is to be mounted.
func (t *tracker) comeBack() {
	p := &t.presence
	device, empty, err := probe(t.cfg.Dir)
	if err != nil || empty && p.device != 0 && device != p.device {
		return
	}
	t.log.Info("folder is there again")
	t.arrive(device)
	p.there = true
	p.news = append(p.news, Available)
	t.lookAtAll()
}

// probe tells which file system a folder is on and whether nothing is in it.
func probe(path string) (device uint64, empty bool, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = f.Close() }() // it was only read
	if device, err = deviceOf(f); err != nil {
		return 0, false, err
	}
	if _, err = f.Readdirnames(1); errors.Is(err, io.EOF) {
		return device, true, nil
	}
	return device, false, err
}

func deviceOf(f *os.File) (uint64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return uint64(info.Sys().(*syscall.Stat_t).Dev), nil
}
