package manifest_test

import (
	"bytes"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/datamodel"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
	"github.com/ipld/go-ipld-prime/node/basicnode"

	"github.com/vidsync/vidsync/manifest"
)

// ipldNode decodes a node with another implementation of DAG-CBOR and
// checks that it encodes to the same bytes.
func ipldNode(t *testing.T, data []byte) datamodel.Node {
	t.Helper()
	builder := basicnode.Prototype.Any.NewBuilder()
	if err := dagcbor.Decode(builder, bytes.NewReader(data)); err != nil {
		t.Fatalf("decode %x: %v", data[:min(len(data), 64)], err)
	}
	n := builder.Build()
	var again bytes.Buffer
	if err := dagcbor.Encode(n, &again); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Bytes(), data) {
		t.Errorf("encodes to\n%x, want\n%x", again.Bytes(), data)
	}
	if n.Length() != 5 {
		t.Errorf("%d fields, want 5", n.Length())
	}
	return n
}

func ipldInt(t *testing.T, n datamodel.Node, key string) int64 {
	t.Helper()
	field, err := n.LookupByString(key)
	if err != nil {
		t.Fatal(err)
	}
	value, err := field.AsInt()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func ipldLinks(t *testing.T, n datamodel.Node) []cid.Cid {
	t.Helper()
	links, err := n.LookupByString("links")
	if err != nil {
		t.Fatal(err)
	}
	var out []cid.Cid
	for it := links.ListIterator(); !it.Done(); {
		_, item, err := it.Next()
		if err != nil {
			t.Fatal(err)
		}
		link, err := item.AsLink()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, link.(cidlink.Link).Cid)
	}
	return out
}

// checkIPLD holds that go-ipld-prime reads a node as it was meant.
func checkIPLD(t *testing.T, data []byte, size, level int64, link func(i int) cid.Cid) {
	t.Helper()
	n := ipldNode(t, data)
	for key, want := range map[string]int64{"size": size, "level": level, "version": 1, "blockSize": block} {
		if got := ipldInt(t, n, key); got != want {
			t.Errorf("%s is %d, want %d", key, got, want)
		}
	}
	span := int64(block)
	if level > 0 {
		span = fullNode
	}
	links := ipldLinks(t, n)
	if want := int((size + span - 1) / span); len(links) != want {
		t.Fatalf("%d links, want %d", len(links), want)
	}
	for i, c := range links {
		if want := link(i); c != want {
			t.Errorf("link %d is %s, want %s", i, c, want)
		}
	}
}

func TestIPLDReadsNodes(t *testing.T) {
	for _, size := range []int64{0, 1, block, 23 * block, 24*block + 1, 300 * block, fullNode} {
		m := numbered(t, size)
		for n := range m.Nodes() {
			checkIPLD(t, n.Data, size, 0, func(i int) cid.Cid { return m.Block(i).CID() })
		}
	}
}

func TestIPLDReadsTree(t *testing.T) {
	m := numbered(t, 2*fullNode+9*block+7)
	var cids []cid.Cid
	for n, err := range m.Nodes() {
		if err != nil {
			t.Fatal(err)
		}
		i := len(cids)
		if cids = append(cids, n.CID); i < 3 {
			under := min(fullNode, m.Size()-int64(i)*fullNode)
			checkIPLD(t, n.Data, under, 0, func(j int) cid.Cid { return m.Block(i*manifest.MaxLinks + j).CID() })
			continue
		}
		checkIPLD(t, n.Data, m.Size(), 1, func(j int) cid.Cid { return cids[j] })
	}
	if len(cids) != 4 {
		t.Errorf("%d nodes, want 4", len(cids))
	}
}

func TestIPLDReadsGoldenRoots(t *testing.T) {
	for name, data := range goldenRoots(t) {
		t.Run(name, func(t *testing.T) { ipldNode(t, data) })
	}
}
