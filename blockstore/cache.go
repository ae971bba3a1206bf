package blockstore

import (
	"container/list"
	"sync"

	"github.com/vidsync/vidsync/manifest"
)

// maxResolved is how many blocks are kept with their proofs, 2 KiB each.
const maxResolved = 1024

// resolved is a block with the place it was last read from.
type resolved struct {
	block    manifest.Digest
	outboard manifest.Outboard // not to be changed
	at       place
}

// blockCache keeps the blocks that were read last, so that serving the pieces
// of a block asks the index once.
type blockCache struct {
	mu       sync.Mutex
	byDigest map[manifest.Digest]*list.Element
	order    *list.List // of resolved, last used first
	clears   uint64
}

func newBlockCache() *blockCache {
	return &blockCache{byDigest: make(map[manifest.Digest]*list.Element), order: list.New()}
}

func (c *blockCache) get(d manifest.Digest) (resolved, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byDigest[d]
	if e == nil {
		return resolved{}, false
	}
	c.order.MoveToFront(e)
	return *e.Value.(*resolved), true
}

// generation is to be read before the index is, and given to put.
func (c *blockCache) generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clears
}

// put keeps r, unless the cache was cleared since that generation: r may have
// been read before what cleared it.
func (c *blockCache) put(r resolved, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.clears {
		return
	}
	if e := c.byDigest[r.block]; e != nil {
		c.order.Remove(e)
	}
	c.byDigest[r.block] = c.order.PushFront(&r)
	if c.order.Len() > maxResolved {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.byDigest, last.Value.(*resolved).block)
	}
}

func (c *blockCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.byDigest)
	c.order.Init()
	c.clears++
}
