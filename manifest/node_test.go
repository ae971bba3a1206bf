package manifest_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
	"lukechampine.com/blake3"

	"github.com/vidsync/vidsync/manifest"
)

// The functions below write DAG-CBOR by hand, so that the tests do not rest on
// the encoder under test.

func head(major byte, n uint64) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 1<<8:
		return []byte{major<<5 | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{major<<5 | 25}, uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32([]byte{major<<5 | 26}, uint32(n))
	}
	return binary.BigEndian.AppendUint64([]byte{major<<5 | 27}, n)
}

func number(n uint64) []byte { return head(0, n) }
func text(s string) []byte   { return append(head(3, uint64(len(s))), s...) }

func list(items ...[]byte) []byte {
	return append(head(4, uint64(len(items))), slices.Concat(items...)...)
}

func linkTo(c cid.Cid) []byte {
	data := append([]byte{0}, c.Bytes()...)
	return slices.Concat(head(6, 42), head(2, uint64(len(data))), data)
}

// An entry is one pair of a map.
type entry struct {
	key   string
	value []byte
}

func dict(entries ...entry) []byte {
	out := head(5, uint64(len(entries)))
	for _, e := range entries {
		out = append(append(out, text(e.key)...), e.value...)
	}
	return out
}

// entriesOf are those of a node, in canonical order.
func entriesOf(size, level uint64, links ...[]byte) []entry {
	return []entry{
		{"size", number(size)},
		{"level", number(level)},
		{"links", list(links...)},
		{"version", number(1)},
		{"blockSize", number(block)},
	}
}

func nodeOf(size, level uint64, links ...[]byte) []byte {
	return dict(entriesOf(size, level, links...)...)
}

func with(entries []entry, key string, value []byte) []byte {
	out := slices.Clone(entries)
	for i := range out {
		if out[i].key == key {
			out[i].value = value
		}
	}
	return dict(out...)
}

func nodeCID(data []byte) cid.Cid {
	sum := blake3.Sum256(data)
	hash, err := mh.Encode(sum[:], mh.BLAKE3)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagCBOR, hash)
}

var (
	rawLink  = linkTo(manifest.BlockCID(manifest.Digest{1}))
	nodeLink = linkTo(nodeCID(nil))
)

type golden struct {
	Name    string
	Size    int64
	Content string
	CIDs    []string // of all nodes, the root last
}

func goldens(t testing.TB) []golden {
	t.Helper()
	data, err := os.ReadFile("testdata/golden/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []golden
	if err := json.Unmarshal(data, &out); err != nil || len(out) == 0 {
		t.Fatalf("%d golden manifests: %v", len(out), err)
	}
	return out
}

// goldenRoots are the encoded roots by file name.
func goldenRoots(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/golden/*.cbor")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d golden roots: %v", len(names), err)
	}
	out := map[string][]byte{}
	for _, name := range names {
		if out[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func split(t testing.TB, g golden) *manifest.Manifest {
	t.Helper()
	cfg := manifest.SplitConfig{}
	src := bytes.NewReader(nil)
	switch g.Content {
	case "pattern":
		src = bytes.NewReader(pattern(int(g.Size)))
	case "zeros":
		cfg.Hole = func(int64, int64) bool { return true }
	default:
		t.Fatalf("%s: no content %q", g.Name, g.Content)
	}
	m, err := manifest.Split(context.Background(), src, g.Size, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestGolden(t *testing.T) {
	roots := goldenRoots(t)
	for _, g := range goldens(t) {
		t.Run(g.Name, func(t *testing.T) {
			m := split(t, g)
			var cids []string
			var root []byte
			nodes := shelf{}
			for n, err := range m.Nodes() {
				if err != nil {
					t.Fatal(err)
				}
				if c := nodeCID(n.Data); c != n.CID {
					t.Errorf("node %s has the bytes of %s", n.CID, c)
				}
				cids, root = append(cids, n.CID.String()), n.Data
				nodes[n.CID] = n.Data
			}
			if !slices.Equal(cids, g.CIDs) {
				t.Errorf("nodes %v, want %v", cids, g.CIDs)
			}
			if got, want := m.CID().String(), g.CIDs[len(g.CIDs)-1]; got != want {
				t.Errorf("CID %s, want %s", got, want)
			}
			if want, ok := roots[g.Name+".cbor"]; ok && !bytes.Equal(root, want) {
				t.Errorf("root\n%x, want\n%x", root, want)
			} else if !ok && len(root) < 8192 {
				t.Errorf("no golden root beside %x", root)
			}
			back, err := manifest.Load(context.Background(), m.CID(), nodes.get)
			if err != nil {
				t.Fatal(err)
			}
			same(t, back, m)
		})
	}
}

func TestNodeBytes(t *testing.T) {
	digests := make([]manifest.Digest, 300)
	links := make([][]byte, len(digests))
	for i := range digests {
		digests[i] = manifest.Digest{byte(i), byte(i >> 8), 31: 9}
		links[i] = linkTo(manifest.BlockCID(digests[i]))
	}
	for _, blocks := range []int{0, 1, 23, 24, 255, 256, 300} {
		size := max(0, int64(blocks)*block-5)
		m, err := manifest.New(size, digests[:blocks])
		if err != nil {
			t.Fatal(err)
		}
		want := nodeOf(uint64(size), 0, links[:blocks]...)
		for n := range m.Nodes() {
			if !bytes.Equal(n.Data, want) {
				t.Errorf("%d blocks: node\n%x, want\n%x", blocks, n.Data, want)
			}
		}
		got, err := manifest.DecodeNode(want)
		if err != nil || !bytes.Equal(got.Again, want) || got.Size != uint64(size) || !slices.Equal(got.Digests, digests[:blocks]) {
			t.Errorf("%d blocks: decoded to %+v, %v", blocks, got, err)
		}
	}
}

// refused are the inputs that are no manifest node, though some decoders
// accept them.
func refused() map[string][]byte {
	one := entriesOf(1, 0, rawLink)
	zero := entriesOf(0, 0)
	swapped := slices.Clone(one)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	alphabetical := []entry{one[4], one[1], one[2], one[0], one[3]}
	good := dict(one...)
	linkOf := func(codec, function uint64, n int) []byte {
		hash, err := mh.Encode(make([]byte, n), function)
		if err != nil {
			panic(err)
		}
		return linkTo(cid.NewCidV1(codec, hash))
	}
	unhex := func(s string) []byte {
		data, err := hex.DecodeString(s)
		if err != nil {
			panic(err)
		}
		return data
	}
	links := func(l []byte) []byte { return with(one, "links", list(l)) }
	manyLinks := make([][]byte, manifest.MaxLinks+1)
	for i := range manyLinks {
		manyLinks[i] = rawLink
	}
	manyNodes := make([][]byte, len(manyLinks))
	for i := range manyNodes {
		manyNodes[i] = nodeLink
	}
	return map[string][]byte{
		"nothing":                    nil,
		"zero byte":                  {0},
		"null":                       {0xf6},
		"undefined":                  {0xf7},
		"break":                      {0xff},
		"empty map":                  dict(),
		"list":                       list(number(1)),
		"text":                       text("size"),
		"cut by one byte":            good[:len(good)-1],
		"extra byte":                 append(slices.Clone(good), 0),
		"twice":                      slices.Concat(good, good),
		"keys swapped":               dict(swapped...),
		"keys in alphabetical order": dict(alphabetical...),
		"key twice":                  dict(append(slices.Clone(one), one[4])...),
		"key twice, other value":     dict(append(slices.Clone(one), entry{"blockSize", number(1)})...),
		"field missing":              dict(one[:4]...),
		"links missing":              dict(zero[0], zero[1], zero[3], zero[4]),
		"unknown field":              dict(append(slices.Clone(one), entry{"zzzzzzzzzz", number(1)})...),
		"key in another case":        dict(entry{"Size", number(1)}, one[1], one[2], one[3], one[4]),
		"integer key":                slices.Concat(head(5, 5), number(0), good[1+5:]),
		"byte string key":            slices.Concat(head(5, 5), head(2, 4), []byte("size"), good[1+5:]),
		"invalid UTF-8 key":          slices.Concat(head(5, 5), head(3, 4), []byte("siz\xff"), good[1+5:]),
		"map length on two bytes":    slices.Concat([]byte{0xb8, 5}, good[1:]),
		"map length on nine bytes":   slices.Concat([]byte{0xbb, 0, 0, 0, 0, 0, 0, 0, 5}, good[1:]),
		"map longer than its bytes":  slices.Concat(head(5, 1<<62), good[1:]),
		"indefinite map":             slices.Concat([]byte{0xbf}, good[1:], []byte{0xff}),
		"indefinite list":            with(one, "links", slices.Concat([]byte{0x9f}, rawLink, []byte{0xff})),
		"indefinite key":             slices.Concat(head(5, 5), []byte{0x7f}, text("size"), []byte{0xff}, good[1+5:]),
		"list length on three bytes": with(one, "links", slices.Concat([]byte{0x99, 0, 1}, rawLink)),
		"list longer than its bytes": with(one, "links", slices.Concat(head(4, 1<<40), rawLink)),
		"tag around the node":        slices.Concat(unhex("d9d9f7"), good),
		"tag around a number":        with(one, "size", unhex("c101")),
		"number on two bytes":        with(one, "size", unhex("1801")),
		"number on nine bytes":       with(one, "size", unhex("1b0000000000000001")),
		"bignum":                     with(one, "size", unhex("c24101")),
		"negative size":              with(one, "size", unhex("20")),
		"negative bignum":            with(one, "size", unhex("c34101")),
		"half float size":            with(one, "size", unhex("f93c00")),
		"single float size":          with(one, "size", unhex("fa3f800000")),
		"double float size":          with(one, "size", unhex("fb3ff0000000000000")),
		"NaN size":                   with(one, "size", unhex("fb7ff8000000000000")),
		"text size":                  with(one, "size", text("1")),
		"true size":                  with(one, "size", unhex("f5")),
		"null size":                  with(zero, "size", unhex("f6")),
		"undefined size":             with(zero, "size", unhex("f7")),
		"null level":                 with(one, "level", unhex("f6")),
		"size 2^63":                  with(one, "size", number(1<<63)),
		"size 2^64-1":                with(one, "size", number(1<<64-1)),
		"size over the limit":        with(entriesOf(0, 1, manyNodes[:129]...), "size", number(manifest.MaxVideoSize+1)),
		"null links":                 with(zero, "links", unhex("f6")),
		"null links of one block":    with(one, "links", unhex("f6")),
		"undefined links":            with(zero, "links", unhex("f7")),
		"map of links":               with(zero, "links", dict()),
		"byte string of links":       with(zero, "links", head(2, 0)),
		"null link":                  links(unhex("f6")),
		"undefined link":             links(unhex("f7")),
		"number for a link":          links(number(1)),
		"link without tag":           links(rawLink[2:]),
		"link with another tag":      links(slices.Concat(head(6, 43), rawLink[2:])),
		"link tag on three bytes":    links(slices.Concat(unhex("d9002a"), rawLink[2:])),
		"link tagged twice":          links(slices.Concat(head(6, 42), rawLink)),
		"link length on three bytes": links(slices.Concat(unhex("d82a590025"), rawLink[4:])),
		"link as text":               links(slices.Concat(unhex("d82a7825"), rawLink[4:])),
		"link without the zero":      links(slices.Concat(head(6, 42), head(2, 36), rawLink[5:])),
		"link with another prefix":   links(slices.Concat(rawLink[:4], []byte{1}, rawLink[5:])),
		"CIDv0 link":                 links(linkOf(cid.DagProtobuf, mh.SHA2_256, 32)),
		"link of codec dag-cbor":     links(nodeLink),
		"link of codec dag-pb":       links(linkOf(cid.DagProtobuf, mh.BLAKE3, 32)),
		"link of codec 0":            links(linkOf(0, mh.BLAKE3, 32)),
		"link of a long codec":       links(linkOf(0x0129, mh.BLAKE3, 32)),
		"SHA-256 link":               links(linkOf(cid.Raw, mh.SHA2_256, 32)),
		"identity link":              links(linkOf(cid.Raw, mh.IDENTITY, 32)),
		"BLAKE3 link of 20 bytes":    links(linkOf(cid.Raw, mh.BLAKE3, 20)),
		"BLAKE3 link of 64 bytes":    links(linkOf(cid.Raw, mh.BLAKE3, 64)),
		"version 0":                  with(one, "version", number(0)),
		"version 2":                  with(one, "version", number(2)),
		"half the block size":        with(one, "blockSize", number(block/2)),
		"block size 0":               with(one, "blockSize", number(0)),
		"no link for one byte":       nodeOf(1, 0),
		"link for no byte":           nodeOf(0, 0, rawLink),
		"link too many":              nodeOf(block, 0, rawLink, rawLink),
		"link too few":               nodeOf(block+1, 0, rawLink),
		"empty at level 1":           nodeOf(0, 1),
		"one child":                  nodeOf(manifest.MaxLinks*block, 1, nodeLink),
		"level 1 over blocks":        nodeOf(manifest.MaxLinks*block+1, 1, rawLink, rawLink),
		"level 0 over nodes":         nodeOf(block+1, 0, nodeLink, nodeLink),
		"level 1 of a short video":   nodeOf(block+1, 1, nodeLink, nodeLink),
		"level 2":                    nodeOf(manifest.MaxVideoSize, 2, nodeLink),
		"level 2^63":                 nodeOf(manifest.MaxVideoSize, 1<<63, nodeLink),
		"16385 links":                nodeOf((manifest.MaxLinks+1)*block, 0, manyLinks...),
		"16385 children":             nodeOf(manifest.MaxVideoSize, 1, manyNodes...),
		"oversize":                   append(nodeOf(manifest.MaxLinks*block, 0, manyLinks[1:]...), make([]byte, 128)...),
		"deep":                       with(one, "links", bytes.Repeat([]byte{0x81}, 10000)),
	}
}

func TestRefusedNodes(t *testing.T) {
	if _, err := manifest.DecodeNode(nodeOf(1, 0, rawLink)); err != nil {
		t.Fatalf("the node that the others are made from: %v", err)
	}
	for name, data := range refused() {
		if _, err := manifest.DecodeNode(data); !errors.Is(err, manifest.ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		}
		get := func(context.Context, []int, cid.Cid) ([]byte, error) { return data, nil }
		if _, err := manifest.Load(context.Background(), nodeCID(data), get); !errors.Is(err, manifest.ErrMalformed) {
			t.Errorf("%s: Load: error %v, want ErrMalformed", name, err)
		}
	}
}

func TestLongestNode(t *testing.T) {
	m, err := manifest.New(manifest.MaxLinks*block, make([]manifest.Digest, manifest.MaxLinks))
	if err != nil {
		t.Fatal(err)
	}
	for n := range m.Nodes() {
		if len(n.Data) > manifest.MaxNodeBytes || len(n.Data) < manifest.MaxNodeBytes-128 {
			t.Errorf("longest node has %d bytes, limit %d", len(n.Data), manifest.MaxNodeBytes)
		}
	}
}

// FuzzNode holds that a node that is accepted is encoded to the same bytes and
// read to the same values as by the plain encoder above.
func FuzzNode(f *testing.F) {
	for _, data := range goldenRoots(f) {
		f.Add(data)
	}
	for _, data := range refused() {
		if len(data) < 1024 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := manifest.DecodeNode(data)
		if err != nil {
			if !errors.Is(err, manifest.ErrMalformed) {
				t.Fatalf("error %v is not ErrMalformed", err)
			}
			return
		}
		if !bytes.Equal(n.Again, data) {
			t.Fatalf("accepted\n%x, encodes to\n%x", data, n.Again)
		}
		codec := uint64(cid.Raw)
		if n.Level > 0 {
			codec = cid.DagCBOR
		}
		var links [][]byte
		for _, d := range n.Digests {
			links = append(links, linkTo(mustCID(t, codec, mh.BLAKE3, d[:])))
		}
		if want := nodeOf(n.Size, n.Level, links...); !bytes.Equal(data, want) {
			t.Fatalf("accepted\n%x, canonical is\n%x", data, want)
		}
	})
}

func BenchmarkDecodeNode(b *testing.B) {
	m, err := manifest.New(manifest.MaxLinks*block, make([]manifest.Digest, manifest.MaxLinks))
	if err != nil {
		b.Fatal(err)
	}
	for n := range m.Nodes() {
		b.SetBytes(int64(len(n.Data)))
		for b.Loop() {
			if _, err := manifest.DecodeNode(n.Data); err != nil {
				b.Fatal(err)
			}
		}
	}
}
