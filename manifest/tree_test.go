package manifest_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/manifest"
)

const fullNode = manifest.MaxLinks * block // bytes under a full node of blocks

// A shelf keeps manifest nodes by CID.
type shelf map[cid.Cid][]byte

func (s shelf) get(_ context.Context, _ []int, c cid.Cid) ([]byte, error) {
	data, ok := s[c]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return data, nil
}

func (s shelf) put(data []byte) cid.Cid {
	c := nodeCID(data)
	s[c] = data
	return c
}

func shelve(t testing.TB, m *manifest.Manifest) shelf {
	t.Helper()
	s := shelf{}
	for n, err := range m.Nodes() {
		if err != nil {
			t.Fatal(err)
		}
		s[n.CID] = n.Data
	}
	return s
}

func same(t *testing.T, got, want *manifest.Manifest) {
	t.Helper()
	if got.CID() != want.CID() || got.Size() != want.Size() || got.NumBlocks() != want.NumBlocks() {
		t.Fatalf("%s of %d bytes in %d blocks, want %s of %d in %d", got.CID(), got.Size(), got.NumBlocks(),
			want.CID(), want.Size(), want.NumBlocks())
	}
	for i := range want.NumBlocks() {
		if got.Block(i) != want.Block(i) {
			t.Fatalf("block %d is %+v, want %+v", i, got.Block(i), want.Block(i))
		}
	}
}

// numbered is a manifest of distinct digests.
func numbered(t testing.TB, size int64) *manifest.Manifest {
	t.Helper()
	digests := make([]manifest.Digest, manifest.NumBlocks(size))
	for i := range digests {
		digests[i] = manifest.Digest{byte(i), byte(i >> 8), byte(i >> 16), 1}
	}
	m, err := manifest.New(size, digests)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLoad(t *testing.T) {
	for _, size := range []int64{0, 1, block, 3*block + 1, fullNode, fullNode + 5*block + 1} {
		m := numbered(t, size)
		nodes := shelve(t, m)
		want := (m.NumBlocks() + manifest.MaxLinks - 1) / manifest.MaxLinks
		if want == 0 {
			want = 1
		} else if want > 1 {
			want++
		}
		if len(nodes) != want {
			t.Errorf("size %d: %d nodes, want %d", size, len(nodes), want)
		}
		var paths [][]int
		get := func(ctx context.Context, path []int, c cid.Cid) ([]byte, error) {
			paths = append(paths, path)
			if got := follow(t, nodes, m.CID(), path); got != c {
				t.Errorf("path %v is asked for as %s, leads to %s", path, c, got)
			}
			return nodes.get(ctx, path, c)
		}
		got, err := manifest.Load(context.Background(), m.CID(), get)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, m)
		for i, path := range paths {
			if i == 0 && len(path) != 0 || i > 0 && !slices.Equal(path, []int{i - 1}) {
				t.Errorf("size %d: request %d is for path %v", size, i, path)
			}
		}
	}
}

func follow(t *testing.T, nodes shelf, c cid.Cid, path []int) cid.Cid {
	t.Helper()
	for _, i := range path {
		child, err := manifest.Child(nodes[c], i)
		if err != nil {
			t.Fatal(err)
		}
		c = child
	}
	return c
}

func TestBlocks(t *testing.T) {
	m := numbered(t, 2*block+7)
	if got := m.Block(1); got.Index != 1 || got.Offset != block || got.Len != block || got.Digest != (manifest.Digest{1, 0, 0, 1}) {
		t.Errorf("block 1 is %+v", got)
	}
	if got := m.Block(2); got.Offset != 2*block || got.Len != 7 || got.CID() != manifest.BlockCID(got.Digest) {
		t.Errorf("block 2 is %+v", got)
	}
}

func TestCIDFollowsContent(t *testing.T) {
	seen := map[cid.Cid]string{}
	note := func(name string, size int64, digests ...manifest.Digest) {
		m, err := manifest.New(size, digests)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[m.CID()]; ok {
			t.Errorf("%s and %s have the same CID", name, other)
		}
		seen[m.CID()] = name
		again, err := manifest.New(size, slices.Clone(digests))
		if err != nil || again.CID() != m.CID() {
			t.Errorf("%s: CID %s, then %s, %v", name, m.CID(), again.CID(), err)
		}
	}
	a, b := manifest.Digest{1}, manifest.Digest{2}
	note("nothing", 0)
	note("a", block, a)
	note("a, one byte less", block-1, a)
	note("b", block, b)
	note("ab", 2*block, a, b)
	note("ba", 2*block, b, a)
}

func TestNewRefusals(t *testing.T) {
	for _, tc := range []struct {
		size   int64
		blocks int
	}{
		{-1, 0}, {0, 1}, {1, 0}, {block, 2}, {block + 1, 1}, {manifest.MaxVideoSize + 1, 1}, {1<<63 - 1, 0},
	} {
		if _, err := manifest.New(tc.size, make([]manifest.Digest, tc.blocks)); !errors.Is(err, manifest.ErrMalformed) {
			t.Errorf("size %d, %d blocks: error %v, want ErrMalformed", tc.size, tc.blocks, err)
		}
	}
}

func TestNodesStops(t *testing.T) {
	m := numbered(t, 2*fullNode)
	for limit := 1; limit <= 3; limit++ {
		seen := 0
		for range m.Nodes() {
			if seen++; seen == limit {
				break
			}
		}
		if seen != limit {
			t.Errorf("saw %d nodes, broke off at %d", seen, limit)
		}
	}
}

// TestLoadRefusals serves trees that are broken at a joint, each node of them
// being well-formed by itself.
func TestLoadRefusals(t *testing.T) {
	m := numbered(t, fullNode+5*block)
	nodes := shelve(t, m)
	left, right := follow(t, nodes, m.CID(), []int{0}), follow(t, nodes, m.CID(), []int{1})
	lie := func(about cid.Cid, data []byte) manifest.Getter {
		return func(ctx context.Context, path []int, c cid.Cid) ([]byte, error) {
			if c == about {
				return data, nil
			}
			return nodes.get(ctx, path, c)
		}
	}
	flipped := bytes.Clone(nodes[right])
	flipped[len(flipped)-20] ^= 1
	errNode := errors.New("no such node")
	size := uint64(m.Size())
	root := func(size uint64, children ...cid.Cid) cid.Cid {
		var links [][]byte
		for _, c := range children {
			links = append(links, linkTo(c))
		}
		return nodes.put(nodeOf(size, 1, links...))
	}
	short := nodes.put(nodeOf(block, 0, rawLink))
	for _, tc := range []struct {
		name string
		root cid.Cid
		get  manifest.Getter
		want error
	}{
		{"root of another video", m.CID(), lie(m.CID(), nodes[short]), manifest.ErrCorrupt},
		{"root without bytes", m.CID(), lie(m.CID(), nil), manifest.ErrCorrupt},
		{"child altered", m.CID(), lie(right, flipped), manifest.ErrCorrupt},
		{"child cut", m.CID(), lie(right, flipped[:40]), manifest.ErrCorrupt},
		{"its sister for a child", m.CID(), lie(right, nodes[left]), manifest.ErrCorrupt},
		{"root for a child", m.CID(), lie(left, nodes[m.CID()]), manifest.ErrCorrupt},
		{"root for everything", m.CID(), func(context.Context, []int, cid.Cid) ([]byte, error) { return nodes[m.CID()], nil }, manifest.ErrCorrupt},
		{"tree for a child", root(2*fullNode, m.CID(), left), nodes.get, manifest.ErrMalformed},
		{"children swapped", root(size, right, left), nodes.get, manifest.ErrMalformed},
		{"first child short", root(size, short, right), nodes.get, manifest.ErrMalformed},
		{"last child short", root(size, left, short), nodes.get, manifest.ErrMalformed},
		{"last child long", root(size, left, left), nodes.get, manifest.ErrMalformed},
		{"root one byte short", root(size-1, left, right), nodes.get, manifest.ErrMalformed},
		{"child that is no node", root(size, left, nodes.put([]byte("not CBOR"))), nodes.get, manifest.ErrMalformed},
		{"child missing", root(size, left, nodeCID([]byte("missing"))), nodes.get, fs.ErrNotExist},
		{"getter fails", m.CID(), func(context.Context, []int, cid.Cid) ([]byte, error) { return nil, errNode }, errNode},
		{"root is a block", manifest.BlockCID(manifest.Digest{}), nodes.get, manifest.ErrCID},
		{"root undefined", cid.Undef, nodes.get, manifest.ErrCID},
	} {
		got, err := manifest.Load(context.Background(), tc.root, tc.get)
		if !errors.Is(err, tc.want) || got != nil {
			t.Errorf("%s: error %v, want %v", tc.name, err, tc.want)
		}
	}
	if got, err := manifest.Load(context.Background(), root(size, left, right), nodes.get); err != nil {
		t.Errorf("the tree that the others are made from: %v", err)
	} else {
		same(t, got, m)
	}
}

func TestChild(t *testing.T) {
	m := numbered(t, fullNode+1)
	nodes := shelve(t, m)
	root := nodes[m.CID()]
	var children []cid.Cid
	for n := range m.Nodes() {
		children = append(children, n.CID)
	}
	for i := range 2 {
		if got, err := manifest.Child(root, i); err != nil || got != children[i] {
			t.Errorf("child %d is %v, %v, want %v", i, got, err, children[i])
		}
	}
	for _, i := range []int{-1, 2, 1 << 40} {
		if got, err := manifest.Child(root, i); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("child %d is %v, %v, want fs.ErrNotExist", i, got, err)
		}
	}
	if _, err := manifest.Child(nodes[children[1]], 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a block as a child: error %v, want fs.ErrNotExist", err)
	}
	if _, err := manifest.Child([]byte{1}, 0); !errors.Is(err, manifest.ErrMalformed) {
		t.Errorf("child of a malformed node: error %v, want ErrMalformed", err)
	}
}
