package blockstore

import (
	"container/list"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// maxHandles is how many files are kept open between reads.
	maxHandles = 32
	// pathInterval is how often a kept handle's path is looked at.
	pathInterval = time.Second
)

// handle is an open file of the index.
type handle struct {
	id   fileID
	path string
	want Stamp
	file *os.File
	fd   int // of file

	// Under handleCache.mu.
	users   int
	kept    *list.Element // nil once out of the cache
	checked time.Time     // when the path last named this file
}

// unchanged returns ErrChanged unless the open file is as it was when added.
// Called after a read, it vouches for what was read.
func (h *handle) unchanged() error {
	var st syscall.Stat_t
	if err := ignoringEINTR(func() error { return syscall.Fstat(h.fd, &st) }); err != nil {
		return &fs.PathError{Op: "stat", Path: h.path, Err: err}
	}
	if stampOf(&st) != h.want {
		return changed(h.path)
	}
	return nil
}

// handleCache keeps the files that were read last open.
type handleCache struct {
	mu    sync.Mutex
	byID  map[fileID]*handle
	order *list.List // of *handle, last used first
}

func newHandleCache() *handleCache {
	return &handleCache{byID: make(map[fileID]*handle), order: list.New()}
}

// get returns a kept handle, or nil. The caller releases it.
func (c *handleCache) get(id fileID) *handle {
	c.mu.Lock()
	h := c.byID[id]
	if h == nil {
		c.mu.Unlock()
		return nil
	}
	h.users++
	c.order.MoveToFront(h.kept)
	now := time.Now()
	due := now.Sub(h.checked) >= pathInterval
	if due {
		h.checked = now
	}
	c.mu.Unlock()
	if due && checkStamp(h.path, h.want) != nil {
		c.drop(id)
		c.release(h)
		return nil
	}
	return h
}

// open opens a file of the index and keeps it. The caller releases it.
func (c *handleCache) open(id fileID, f File) (*handle, error) {
	// The path is looked at first: opening what is there now, such as a
	// pipe, could block or have effects.
	if err := checkStamp(f.Path, f.Stamp); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(f.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	h := &handle{id: id, path: f.Path, want: f.Stamp, file: file, fd: int(file.Fd()), users: 1, checked: time.Now()}
	if err := h.unchanged(); err != nil {
		file.Close() // read only: nothing to lose
		return nil, err
	}
	c.keep(h)
	return h, nil
}

func (c *handleCache) keep(h *handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.byID[h.id]; old != nil {
		c.evict(old)
	}
	c.byID[h.id] = h
	h.kept = c.order.PushFront(h)
	for c.order.Len() > maxHandles {
		c.evict(c.order.Back().Value.(*handle))
	}
}

// release ends one use of h.
func (c *handleCache) release(h *handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.users--
	h.closeUnused()
}

// evict takes h out; the last user closes it. The caller holds mu.
func (c *handleCache) evict(h *handle) {
	c.order.Remove(h.kept)
	h.kept = nil
	delete(c.byID, h.id)
	h.closeUnused()
}

func (h *handle) closeUnused() {
	if h.users == 0 && h.kept == nil {
		h.file.Close() // read only: nothing to lose
	}
}

// drop takes the handle of a file out, if it is there.
func (c *handleCache) drop(id fileID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.byID[id]; h != nil {
		c.evict(h)
	}
}

func (c *handleCache) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.byID {
		c.evict(h)
	}
}
