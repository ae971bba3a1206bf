package assemble

import (
	"errors"
	"io/fs"
	"sync"

	"github.com/vidsync/vidsync/manifest"
)

// maxIdleTrees is how many proof trees (at most 2 KiB each) stay in memory
// while nobody uses them.
const maxIdleTrees = 512

// outboards keeps the proof trees of the blocks that are being written or
// served, and loads others when they are asked for.
type outboards struct {
	load func(block int) (manifest.Outboard, error)

	mu    sync.Mutex // guards all fields below and of every tree
	trees map[int]*tree
}

// tree is the proof tree of one block.
type tree struct {
	block int
	users int
	nodes manifest.Outboard

	once sync.Once // loads nodes
	err  error
}

func newOutboards(load func(block int) (manifest.Outboard, error)) *outboards {
	return &outboards{load: load, trees: make(map[int]*tree)}
}

// acquire returns the tree of a block. The caller releases it.
func (o *outboards) acquire(block int) (*tree, error) {
	o.mu.Lock()
	t := o.trees[block]
	if t == nil {
		t = &tree{block: block}
		o.trees[block] = t
	}
	t.users++
	o.mu.Unlock()
	t.once.Do(func() { t.nodes, t.err = o.load(block) })
	if t.err != nil {
		o.release(t)
		return nil, t.err
	}
	return t, nil
}

// release ends one use of a tree.
func (o *outboards) release(t *tree) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t.users--
	if t.err != nil && o.trees[t.block] == t {
		delete(o.trees, t.block) // so that the next one tries again
	}
	if t.users == 0 && len(o.trees) > maxIdleTrees {
		o.dropOne()
	}
}

// dropOne forgets any tree that nobody uses. o.mu is held.
func (o *outboards) dropOne() {
	for block, t := range o.trees {
		if t.users == 0 {
			delete(o.trees, block)
			return
		}
	}
}

// fill puts a verified proof into a tree.
func (o *outboards) fill(t *tree, blockLen int64, piece int, proof []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t.nodes.Fill(blockLen, piece, proof)
}

// appendProof appends the proof of a piece that was filled in before.
func (o *outboards) appendProof(dst []byte, t *tree, blockLen int64, piece int) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return t.nodes.AppendProof(dst, blockLen, piece)
}

// snapshot copies a tree.
func (o *outboards) snapshot(t *tree) manifest.Outboard {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append(manifest.Outboard(nil), t.nodes...)
}

// loadOutboard reads what the receipt has of a block's tree.
func (f *File) loadOutboard(block int) (manifest.Outboard, error) {
	b := f.video.Block(block)
	o, err := f.store.ReceiptOutboard(f.video.CID(), b)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(o) != manifest.OutboardLen(b.Len) {
		return manifest.NewOutboard(b.Len), nil
	}
	return o, f.indexError(err)
}
