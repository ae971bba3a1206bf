package assemble_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/vidsync/vidsync/assemble"
)

const (
	pageBytes   = 4096
	sectorBytes = 512
)

var errPowerCut = errors.New("the power is cut")

// powerDisk is a disk of real files that knows what a power cut may take: all
// that no completed flush or sync covers. It does not sync anything itself.
// cut ends all change; lose then takes back a random part of what was not
// covered.
type powerDisk struct {
	assemble.SystemDisk
	grave string // where removed files wait, on the same file system

	gate sync.RWMutex // held for reading by every change, for writing by cut
	dead bool         // guarded by gate

	mu      sync.Mutex
	clock   int // counts completed changes
	buried  int
	files   map[uint64]*volatileFile // by inode
	changes []*nameChange            // of names, in order
}

func newPowerDisk(grave string) *powerDisk {
	return &powerDisk{grave: grave, files: make(map[uint64]*volatileFile)}
}

// volatileFile is what of a file is not synced.
type volatileFile struct {
	handle *os.File
	pages  map[int64][]pageWrite // by offset; oldest first
	sizes  []sizeChange
	marks  []markChange
}

type pageWrite struct {
	old  []byte // what was there before; nil for zeros
	when int    // 0 while it is being written
}

type sizeChange struct {
	old  int64
	when int
}

type markChange struct {
	old  []byte // nil for none
	when int
}

// nameChange is a name that came or went or both. A synced side is out of
// danger.
type nameChange struct {
	from, to             string // "" for none
	fromSynced, toSynced bool
	grave                string // where a removed file is
}

// change runs do unless the power is cut.
func (d *powerDisk) change(do func() error) error {
	d.gate.RLock()
	defer d.gate.RUnlock()
	if d.dead {
		return errPowerCut
	}
	return do()
}

// cut stops all change and runs then while nothing changes.
func (d *powerDisk) cut(then func()) {
	d.gate.Lock()
	defer d.gate.Unlock()
	if !d.dead {
		d.dead = true
		then()
	}
}

func (d *powerDisk) isDead() bool {
	d.gate.RLock()
	defer d.gate.RUnlock()
	return d.dead
}

// close lets go of the files.
func (d *powerDisk) close() {
	for _, v := range d.files {
		_ = v.handle.Close()
	}
}

// volatile is the record of an open file. d.mu is held.
func (d *powerDisk) volatile(f *os.File) (*volatileFile, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	inode := info.Sys().(*syscall.Stat_t).Ino
	if v := d.files[inode]; v != nil {
		return v, nil
	}
	handle, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	v := &volatileFile{handle: handle, pages: make(map[int64][]pageWrite)}
	d.files[inode] = v
	return v, nil
}

// tick is the time of a change that is complete. d.mu is held.
func (d *powerDisk) tick() int {
	d.clock++
	return d.clock
}

func (d *powerDisk) name(c *nameChange, do func() error) error {
	return d.change(func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if err := do(); err != nil {
			return err
		}
		d.changes = append(d.changes, c)
		return nil
	})
}

func (d *powerDisk) Mkdir(dir string) error {
	return d.name(&nameChange{to: dir}, func() error { return d.SystemDisk.Mkdir(dir) })
}

func (d *powerDisk) Create(path string) (f *os.File, err error) {
	err = d.name(&nameChange{to: path}, func() error { f, err = d.SystemDisk.Create(path); return err })
	return f, err
}

func (d *powerDisk) Rename(old, path string) error {
	return d.name(&nameChange{from: old, to: path}, func() error { return d.SystemDisk.Rename(old, path) })
}

func (d *powerDisk) Remove(path string) error {
	c := &nameChange{from: path}
	return d.name(c, func() error {
		d.buried++
		c.grave = filepath.Join(d.grave, fmt.Sprint(d.buried))
		return os.Rename(path, c.grave)
	})
}

// SyncDir makes the names in a folder safe that changed before the call.
func (d *powerDisk) SyncDir(dir string) error {
	return d.change(func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if _, err := os.Stat(dir); err != nil {
			return err
		}
		var left []*nameChange
		for _, c := range d.changes {
			c.fromSynced = c.fromSynced || c.from == "" || filepath.Dir(c.from) == dir
			c.toSynced = c.toSynced || c.to == "" || filepath.Dir(c.to) == dir
			if !c.fromSynced || !c.toSynced {
				left = append(left, c)
			}
		}
		d.changes = left
		return nil
	})
}

func (d *powerDisk) Write(f *os.File, data []byte, offset int64) error {
	return d.write(f, offset, int64(len(data)), func() error { return d.SystemDisk.Write(f, data, offset) })
}

func (d *powerDisk) Share(dst *os.File, dstOffset int64, src *os.File, srcOffset, n int64) error {
	return d.write(dst, dstOffset, n, func() error { return d.SystemDisk.Share(dst, dstOffset, src, srcOffset, n) })
}

func (d *powerDisk) Copy(dst *os.File, dstOffset int64, src *os.File, srcOffset, n int64) error {
	return d.write(dst, dstOffset, n, func() error { return d.SystemDisk.Copy(dst, dstOffset, src, srcOffset, n) })
}

// write notes what lies where n bytes will be written.
func (d *powerDisk) write(f *os.File, offset, n int64, do func() error) error {
	return d.change(func() error {
		d.mu.Lock()
		v, err := d.volatile(f)
		if err == nil {
			err = v.note(offset, n)
		}
		d.mu.Unlock()
		if err != nil {
			return err
		}
		err = do()
		d.mu.Lock()
		defer d.mu.Unlock()
		now := d.tick()
		for at := offset / pageBytes * pageBytes; at < offset+n; at += pageBytes {
			writes := v.pages[at]
			writes[len(writes)-1].when = now
		}
		return err
	})
}

// note keeps what the pages of a range have now.
func (v *volatileFile) note(offset, n int64) error {
	for at := offset / pageBytes * pageBytes; at < offset+n; at += pageBytes {
		old, err := v.page(at)
		if err != nil {
			return err
		}
		v.pages[at] = append(v.pages[at], pageWrite{old: old})
	}
	return nil
}

// page reads a page; nil if it is a hole.
func (v *volatileFile) page(at int64) ([]byte, error) {
	if assemble.IsHole(v.handle, at, pageBytes) {
		return nil, nil
	}
	buf := make([]byte, pageBytes)
	if n, err := v.handle.ReadAt(buf, at); n == 0 {
		return nil, err
	}
	return buf, nil
}

func (d *powerDisk) Truncate(f *os.File, size int64) error {
	return d.resize(f, size, func() error { return d.SystemDisk.Truncate(f, size) })
}

func (d *powerDisk) Allocate(f *os.File, size int64) error {
	return d.resize(f, size, func() error { return d.SystemDisk.Allocate(f, size) })
}

func (d *powerDisk) resize(f *os.File, size int64, do func() error) error {
	return d.change(func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		v, err := d.volatile(f)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		now := d.tick()
		if size < info.Size() {
			if err := v.note(size, info.Size()-size); err != nil {
				return err
			}
			for _, writes := range v.pages {
				if last := &writes[len(writes)-1]; last.when == 0 {
					last.when = now
				}
			}
		}
		if err := do(); err != nil {
			return err
		}
		v.sizes = append(v.sizes, sizeChange{old: info.Size(), when: now})
		return nil
	})
}

func (d *powerDisk) Mark(f *os.File, text string) error {
	return d.mark(f, func() error { return d.SystemDisk.Mark(f, text) })
}

func (d *powerDisk) Unmark(f *os.File) {
	_ = d.mark(f, func() error { d.SystemDisk.Unmark(f); return nil })
}

func (d *powerDisk) mark(f *os.File, do func() error) error {
	return d.change(func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		v, err := d.volatile(f)
		if err != nil {
			return err
		}
		v.marks = append(v.marks, markChange{old: getMark(f), when: d.tick()})
		return do()
	})
}

// Flush makes a file's bytes and size safe.
func (d *powerDisk) Flush(f *os.File) error { return d.sync(f, false) }

// Sync makes all of a file safe.
func (d *powerDisk) Sync(f *os.File) error { return d.sync(f, true) }

func (d *powerDisk) sync(f *os.File, marks bool) error {
	return d.change(func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		v, err := d.volatile(f)
		if err != nil {
			return err
		}
		began := d.clock
		d.mu.Unlock()
		pause() // others may write now, and are not covered
		d.mu.Lock()
		v.safe(began, marks)
		return nil
	})
}

// safe forgets how to undo what was complete then.
func (v *volatileFile) safe(then int, marks bool) {
	for at, writes := range v.pages {
		n := 0
		for n < len(writes) && writes[n].when != 0 && writes[n].when <= then {
			n++
		}
		if v.pages[at] = writes[n:]; n == len(writes) {
			delete(v.pages, at)
		}
	}
	for len(v.sizes) > 0 && v.sizes[0].when <= then {
		v.sizes = v.sizes[1:]
	}
	for marks && len(v.marks) > 0 && v.marks[0].when <= then {
		v.marks = v.marks[1:]
	}
}

// pending tells how much a cut may take.
func (d *powerDisk) pending() (pages, others int) {
	for _, v := range d.files {
		pages += len(v.pages)
		others += len(v.sizes) + len(v.marks)
	}
	return pages, others + len(d.changes)
}

// lose takes back what the power cut takes. chance is how likely each is to go.
func (d *powerDisk) lose(rng *rand.Rand, chance float64) error {
	var err error
	for _, v := range d.files {
		err = errors.Join(err, v.lose(rng, chance))
	}
	for i := len(d.changes) - 1; i >= 0; i-- {
		err = errors.Join(err, d.undo(d.changes[i], rng.Float64() < chance))
	}
	return err
}

func (v *volatileFile) lose(rng *rand.Rand, chance float64) error {
	for at, writes := range v.pages {
		if rng.Float64() >= chance {
			continue
		}
		if err := v.restore(at, writes[rng.IntN(len(writes))].old, rng); err != nil {
			return err
		}
	}
	if len(v.marks) > 0 && rng.Float64() < chance {
		if err := putMark(v.handle, v.marks[rng.IntN(len(v.marks))].old); err != nil {
			return err
		}
	}
	if len(v.sizes) > 0 && rng.Float64() < chance {
		return v.handle.Truncate(v.sizes[rng.IntN(len(v.sizes))].old)
	}
	return nil
}

// restore brings back what a page had, or some of its sectors.
func (v *volatileFile) restore(at int64, old []byte, rng *rand.Rand) error {
	info, err := v.handle.Stat()
	if err != nil || at >= info.Size() {
		return err
	}
	if old == nil {
		old = make([]byte, pageBytes)
	}
	from, to := 0, pageBytes
	if rng.IntN(4) == 0 { // torn
		from = rng.IntN(pageBytes/sectorBytes) * sectorBytes
		to = from + (1+rng.IntN((pageBytes-from)/sectorBytes))*sectorBytes
	}
	to = min(to, int(info.Size()-at))
	if from >= to {
		return nil
	}
	_, err = v.handle.WriteAt(old[from:to], at+int64(from))
	return err
}

// undo takes back a change of names, as far as it is not safe.
func (d *powerDisk) undo(c *nameChange, lost bool) error {
	switch {
	case !lost:
		return nil
	case c.from == "": // created
		return d.bury(c.to)
	case c.to == "": // removed
		return ignoreExist(os.Link(c.grave, c.from))
	case c.toSynced: // the old name comes back beside the new one
		return ignoreExist(os.Link(c.to, c.from))
	case c.fromSynced:
		return d.bury(c.to)
	}
	return ignoreExist(assemble.RenameExclusive(c.to, c.from))
}

// bury makes a file or folder disappear.
func (d *powerDisk) bury(path string) error {
	d.buried++
	return ignoreExist(os.Rename(path, filepath.Join(d.grave, fmt.Sprint(d.buried))))
}

// ignoreExist drops the errors of names that later changes took or left.
func ignoreExist(err error) error {
	if errors.Is(err, os.ErrExist) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
