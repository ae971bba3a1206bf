package watch

import (
	"path/filepath"
	"strings"
	"time"
)

// What is kept of a tree is bounded: about 200 bytes and a name each.
const (
	maxFiles   = 1 << 20
	maxFolders = 1 << 17
)

// dir is a folder of the tree.
type dir struct {
	parent *dir // nil for the root
	name   string
	rel    string // path below the root, "" for the root itself
	device uint64 // 0 until it was read
	watch  int32  // number of its notices; -1: none
	pass   uint32 // how many times it was read
	queued bool   // to be read
	listed uint32 // pass of parent when it was there
	warned bool   // it was said that it cannot be read
	gone   bool   // not in the tree any more
	files  map[string]*file
	dirs   map[string]*dir
}

func newDir(parent *dir, name string) *dir {
	d := &dir{parent: parent, name: name, watch: -1, files: map[string]*file{}}
	if parent != nil {
		d.rel = filepath.Join(parent.rel, name)
	}
	return d
}

// isMount tells whether another file system is mounted there.
func (d *dir) isMount() bool {
	return d.parent != nil && d.device != 0 && d.device != d.parent.device
}

// mounted tells whether the file systems that d was on are still where they were.
func (t *tree) mounted(d *dir) bool {
	for ; d.parent != nil; d = d.parent {
		if !d.isMount() {
			continue
		}
		st, err := lstat(t.path(d))
		if err != nil || uint64(st.Dev) != d.device {
			return false
		}
	}
	return true
}

// state says what comes next for a file.
type state uint8

const (
	settling  state = iota // wait until it does not change any more
	ready                  // to be told
	telling                // handle is busy with it
	done                   // told, or known before
	missing                // it was told and is not there; to be told
	forgotten              // of no interest any more
)

// file is one regular file whose name counts.
type file struct {
	dir     *dir
	name    string
	id      Identity
	changed time.Duration // when id was seen to change last
	due     time.Duration // when to look at it again
	growth  *growth       // only if it was seen growing
	after   uint32        // missing: the look at everything that must be over
	pass    uint32        // of dir, when it was there
	slot    int32         // in the queue; -1: in none
	state   state
	fails   uint8 // how many times in a row it could not be told
	closed  bool  // a writer closed it since it changed
	moved   bool  // ready: Known has it under another path
	active  bool  // it was seen to change, or may: look more often
	told    bool  // as Finished or Moved, or it was known
}

// reported tells whether handle was told that the file is there.
func (f *file) reported() bool {
	return f.told || f.state == telling || f.growth != nil && f.growth.told
}

func (f *file) rel() string { return filepath.Join(f.dir.rel, f.name) }

// tree is all folders and files that are known to be there.
type tree struct {
	base    string // absolute path of the root
	prefix  string // of all paths below it
	root    *dir
	watches map[int32]*dir
	// growing finds files that were told as growing when they were moved.
	growing map[inode]*file
	// missing are the files of that state by path.
	missing map[string]*file
	files   int // with the missing ones
	folders int
}

func newTree(base string) *tree {
	separator := string(filepath.Separator)
	return &tree{
		base: base, prefix: strings.TrimSuffix(base, separator) + separator,
		root: newDir(nil, ""), folders: 1,
		watches: map[int32]*dir{}, growing: map[inode]*file{}, missing: map[string]*file{},
	}
}

func (t *tree) path(d *dir) string {
	if d.parent == nil {
		return t.base
	}
	return t.prefix + d.rel
}

func (t *tree) pathOf(d *dir, name string) string {
	if d.parent == nil {
		return t.prefix + name
	}
	return t.prefix + d.rel + string(filepath.Separator) + name
}

// empty tells whether no file is kept.
func (t *tree) empty() bool { return t.files == 0 }

// find returns the file at path, and nil if there is none.
func (t *tree) find(path string) *file {
	rel, ok := strings.CutPrefix(path, t.prefix)
	if !ok {
		return nil
	}
	d := t.root
	for {
		name, rest, below := strings.Cut(rel, string(filepath.Separator))
		if !below {
			return d.files[name]
		}
		if d = d.dirs[name]; d == nil {
			return nil
		}
		rel = rest
	}
}

// child returns the folder name in d, and nil if it is one too many.
func (t *tree) child(d *dir, name string) *dir {
	if sub := d.dirs[name]; sub != nil {
		return sub
	}
	if t.folders >= maxFolders {
		return nil
	}
	if d.dirs == nil {
		d.dirs = map[string]*dir{}
	}
	sub := newDir(d, name)
	d.dirs[name] = sub
	t.folders++
	return sub
}

// insert makes a file, and nil if it is one too many.
func (t *tree) insert(d *dir, name string, id Identity) *file {
	if t.files >= maxFiles {
		return nil
	}
	f := &file{dir: d, name: name, id: id, slot: -1}
	d.files[name] = f
	t.files++
	return f
}

// detach takes a file out of its folder but still counts it.
func (t *tree) detach(f *file) {
	if f.dir.files[f.name] == f {
		delete(f.dir.files, f.name)
	}
}

// forget takes a file out of everything.
func (t *tree) forget(f *file) {
	if f.state == forgotten {
		return
	}
	t.detach(f)
	t.endGrowth(f)
	if path := t.pathOf(f.dir, f.name); t.missing[path] == f {
		delete(t.missing, path)
	}
	f.state = forgotten
	t.files--
}

// identify gives a file another identity.
func (t *tree) identify(f *file, id Identity) {
	if f.growth != nil {
		delete(t.growing, f.id.inode())
		t.growing[id.inode()] = f
	}
	f.id = id
}

func (t *tree) beginGrowth(f *file) {
	if f.growth == nil {
		f.growth = &growth{}
		t.growing[f.id.inode()] = f
	}
}

func (t *tree) endGrowth(f *file) {
	if t.growing[f.id.inode()] == f {
		delete(t.growing, f.id.inode())
	}
	f.growth = nil
}
