package manifest

import (
	"context"
	"fmt"
	"io/fs"
	"iter"

	"github.com/ipfs/go-cid"
)

// Node is one encoded manifest node.
type Node struct {
	CID  cid.Cid
	Data []byte // canonical DAG-CBOR, at most MaxNodeBytes
}

// Nodes yields the manifest's nodes, children before parents and the root
// last. Each is encoded when it is reached, so a long video takes no more
// memory than one node. An error is yielded last.
func (m *Manifest) Nodes() iter.Seq2[Node, error] {
	return func(yield func(Node, error) bool) {
		digests := m.blocks
		for level := uint64(0); ; level++ {
			parents, ok := m.yieldLevel(level, digests, yield)
			if !ok || len(parents) == 1 {
				return
			}
			digests = parents
		}
	}
}

// yieldLevel yields the nodes of one level over what has these digests, and
// returns their own digests, or false once the consumer has stopped or an
// error was yielded. An empty video has one node, over nothing.
func (m *Manifest) yieldLevel(level uint64, digests []Digest, yield func(Node, error) bool) ([]Digest, bool) {
	span := linkSpan(level)
	var parents []Digest
	for start := 0; start == 0 || start < len(digests); start += MaxLinks {
		end := min(start+MaxLinks, len(digests))
		under := min(int64(end)*span, m.size) - int64(start)*span
		n := newNode(level, under, digests[start:end])
		data, err := n.encode()
		if err != nil {
			yield(Node{}, err)
			return nil, false
		}
		d := sum(data)
		if !yield(Node{CID: nodeCID(d), Data: data}, nil) {
			return nil, false
		}
		parents = append(parents, d)
	}
	return parents, true
}

// A Getter returns the bytes of one manifest node. The path leads to it from
// the root: the index of the link to follow at each level, empty for the root
// itself. The bytes need not be trusted: Load checks them.
type Getter func(ctx context.Context, path []int, node cid.Cid) ([]byte, error)

// Load reads the manifest named root node by node. Every node must match its
// CID, be canonical and agree with its parent on what it covers: ErrCorrupt is
// returned for the first, ErrMalformed for the others, ErrCID for a root that
// is not the CID of a video. Errors of get are returned wrapped.
func Load(ctx context.Context, root cid.Cid, get Getter) (*Manifest, error) {
	l := loader{get: get}
	n, err := l.node(ctx, nil, root)
	if err != nil {
		return nil, err
	}
	if err := l.collect(ctx, nil, n); err != nil {
		return nil, err
	}
	return &Manifest{root: root, size: int64(n.Size), blocks: l.blocks}, nil
}

type loader struct {
	get    Getter
	blocks []Digest
}

func (l *loader) node(ctx context.Context, path []int, c cid.Cid) (*node, error) {
	want, err := NodeDigest(c)
	if err != nil {
		return nil, err
	}
	data, err := l.get(ctx, path, c)
	if err != nil {
		return nil, fmt.Errorf("manifest node %s: %w", c, err)
	}
	if sum(data) != want {
		return nil, fmt.Errorf("manifest node %s: %w", c, ErrCorrupt)
	}
	n, err := decodeNode(data)
	if err != nil {
		return nil, fmt.Errorf("manifest node %s: %w", c, err)
	}
	return n, nil
}

// collect appends the digests of all blocks under n. Recursion is bounded: a
// child must be one level below its parent.
func (l *loader) collect(ctx context.Context, path []int, n *node) error {
	if n.Level == 0 {
		l.blocks = append(l.blocks, n.Links.digests...)
		return nil
	}
	for i, digest := range n.Links.digests {
		c := nodeCID(digest)
		childPath := append(path[:len(path):len(path)], i)
		child, err := l.node(ctx, childPath, c)
		if err != nil {
			return err
		}
		covers := min(n.span(), int64(n.Size)-int64(i)*n.span())
		if child.Level != n.Level-1 || int64(child.Size) != covers {
			return fmt.Errorf("manifest node %s: %w: covers %d bytes at level %d, its parent says %d at level %d",
				c, ErrMalformed, child.Size, child.Level, covers, n.Level-1)
		}
		if err := l.collect(ctx, childPath, child); err != nil {
			return err
		}
	}
	return nil
}

// Child returns the CID that link index of the encoded node names, for
// following a path down from a root. It is for nodes that are already
// verified. No such node under this one is fs.ErrNotExist: what lies under the
// lowest nodes is blocks.
func Child(data []byte, index int) (cid.Cid, error) {
	n, err := decodeNode(data)
	if err != nil {
		return cid.Undef, err
	}
	if n.Level == 0 || index < 0 || index >= len(n.Links.digests) {
		return cid.Undef, fmt.Errorf("child %d of a manifest node: %w", index, fs.ErrNotExist)
	}
	return nodeCID(n.Links.digests[index]), nil
}
