package manifest_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"lukechampine.com/blake3"
	"lukechampine.com/blake3/bao"

	"github.com/vidsync/vidsync/manifest"
)

// pattern is the input of the BLAKE3 test vectors: 0, 1, …, 250, 0, 1, …
func pattern(n int) []byte {
	period := make([]byte, 251)
	for i := range period {
		period[i] = byte(i)
	}
	return bytes.Repeat(period, n/len(period)+1)[:n]
}

// video is two blocks and a bit of random bytes, the same in every run.
var video = sync.OnceValue(func() []byte {
	data := make([]byte, 2*block+12345)
	rnd := rand.NewChaCha8([32]byte{1})
	if _, err := rnd.Read(data); err != nil {
		panic(err)
	}
	return data
})

// noise is the video's first block.
func noise() []byte { return video()[:block] }

func hashBlock(t testing.TB, data []byte) (manifest.Digest, manifest.Outboard) {
	t.Helper()
	d, o, err := manifest.HashBlock(bytes.NewReader(data), int64(len(data)), make([]byte, piece))
	if err != nil {
		t.Fatal(err)
	}
	return d, o
}

// pieceOf returns the bytes and the proof of one piece.
func pieceOf(data []byte, o manifest.Outboard, i int) (bytes, proof []byte) {
	return data[i*piece : min((i+1)*piece, len(data))], o.AppendProof(nil, int64(len(data)), i)
}

func TestBLAKE3Vectors(t *testing.T) {
	data, err := os.ReadFile("testdata/blake3_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Len  int    `json:"input_len"`
		Hash string `json:"hash"`
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) < 20 {
		t.Fatalf("%d vectors: %v", len(vectors), err)
	}
	for _, v := range vectors {
		if v.Len == 0 {
			continue // no block is empty
		}
		input := pattern(v.Len)
		d, o := hashBlock(t, input)
		if d.String() != v.Hash || len(o) != 0 {
			t.Errorf("%d bytes: digest %s with an outboard of %d, want %s", v.Len, d, len(o), v.Hash)
		}
		var want manifest.Digest
		if _, err := hex.Decode(want[:], []byte(v.Hash)); err != nil {
			t.Fatal(err)
		}
		if err := manifest.CheckPiece(want, int64(v.Len), 0, input, nil); err != nil {
			t.Errorf("%d bytes: %v", v.Len, err)
		}
	}
}

// blockLens are lengths at the edges of chunks, groups, pieces and subtrees.
var blockLens = []int{
	1, 1023, 1024, 1025, 16383, 16384, 16385, 17 * 1024, 65536 + 16384, 65536 + 16384 + 2048 + 1,
	piece - 1025, piece - 1, piece, piece + 1, piece + 1025, 2*piece - 16384, 2 * piece, 2*piece + 1,
	3 * piece, 5*piece + 77777, block,
}

func TestHashBlockAgainstSum256AndBao(t *testing.T) {
	const group = 10 // 2^10 chunks of 1024 bytes are a piece
	for _, n := range blockLens {
		data := noise()[:n]
		d, o := hashBlock(t, data)
		if want := blake3.Sum256(data); d != want {
			t.Fatalf("%d bytes: digest %s, want %x", n, d, want)
		}
		lenPrefixed := append(binary.LittleEndian.AppendUint64(nil, uint64(n)), o...)
		if want, _ := bao.EncodeBuf(data, group, true); !bytes.Equal(lenPrefixed, want) {
			t.Errorf("%d bytes: another outboard than bao's", n)
		}
		if !bao.VerifyBuf(data, lenPrefixed, group, d) {
			t.Errorf("%d bytes: bao does not accept the outboard", n)
		}
		for i := range manifest.NumPieces(int64(n)) {
			data, proof := pieceOf(data, o, i)
			var slice bytes.Buffer
			if err := bao.ExtractSlice(&slice, bytes.NewReader(data), bytes.NewReader(lenPrefixed), group, uint64(i*piece), uint64(len(data))); err != nil {
				t.Fatal(err)
			}
			// A slice is the length, the parents in pre-order and the data.
			if want := slice.Bytes()[8 : slice.Len()-len(data)]; !bytes.Equal(proof, want) {
				t.Errorf("%d bytes, piece %d: proof\n%x, bao's is\n%x", n, i, proof, want)
			}
			if len(proof) != manifest.ProofLen(int64(n), i) || len(proof) > manifest.MaxProofBytes {
				t.Errorf("%d bytes, piece %d: proof of %d bytes, want %d", n, i, len(proof), manifest.ProofLen(int64(n), i))
			}
			if err := manifest.CheckPiece(d, int64(n), i, data, proof); err != nil {
				t.Errorf("%d bytes, piece %d: %v", n, i, err)
			}
		}
	}
}

func TestProofLens(t *testing.T) {
	for i := range manifest.PiecesPerBlock {
		if got := manifest.ProofLen(block, i); got != manifest.MaxProofBytes {
			t.Errorf("full block, piece %d: proof of %d bytes", i, got)
		}
	}
	// Five pieces hang as ((0 1) (2 3)) 4.
	for i, want := range []int{192, 192, 192, 192, 64} {
		if got := manifest.ProofLen(4*piece+1, i); got != want {
			t.Errorf("five pieces, piece %d: proof of %d bytes, want %d", i, got, want)
		}
	}
	for _, n := range []int64{0, 1, piece} {
		if got := manifest.OutboardLen(n); got != 0 {
			t.Errorf("outboard of %d bytes has %d bytes", n, got)
		}
	}
	if got := manifest.OutboardLen(block); got != 31*64 {
		t.Errorf("outboard of a full block has %d bytes", got)
	}
}

// refuse fails the test unless the piece is refused as corrupt.
func refuse(t *testing.T, what string, d manifest.Digest, n int64, i int, data, proof []byte) {
	t.Helper()
	if err := manifest.CheckPiece(d, n, i, data, proof); !errors.Is(err, manifest.ErrCorrupt) {
		t.Errorf("block of %d bytes, piece %d, %s: error %v, want ErrCorrupt", n, i, what, err)
	}
}

func TestCheckPieceRefusesFlippedBits(t *testing.T) {
	for _, n := range []int{1, 1025, piece, 2*piece + 5, 5 * piece, block} {
		whole := noise()[:n]
		d, o := hashBlock(t, whole)
		last := manifest.NumPieces(int64(n)) - 1
		for _, i := range slices.Compact([]int{0, last / 2, last}) {
			data, proof := pieceOf(whole, o, i)
			data = bytes.Clone(data)
			for _, at := range slices.Compact([]int{0, len(data) / 3, len(data) - 1}) {
				data[at] ^= 1 << (at % 8)
				refuse(t, "bit of data flipped", d, int64(n), i, data, proof)
				data[at] ^= 1 << (at % 8)
			}
			for bit := range len(proof) * 8 {
				proof[bit/8] ^= 1 << (bit % 8)
				refuse(t, "bit of proof flipped", d, int64(n), i, data, proof)
				proof[bit/8] ^= 1 << (bit % 8)
			}
			for bit := range 256 {
				wrong := d
				wrong[bit/8] ^= 1 << (bit % 8)
				if bit%17 == 0 {
					refuse(t, "bit of digest flipped", wrong, int64(n), i, data, proof)
				}
			}
			if err := manifest.CheckPiece(d, int64(n), i, data, proof); err != nil {
				t.Errorf("%d bytes, piece %d, untouched: %v", n, i, err)
			}
		}
	}
}

func TestCheckPieceRefusesExchanges(t *testing.T) {
	whole := noise()
	d, o := hashBlock(t, whole)
	equal := bytes.Repeat(whole[:piece], 4)
	equalDigest, equalOutboard := hashBlock(t, equal)
	data0, proof0 := pieceOf(whole, o, 0)
	for i := 1; i < manifest.PiecesPerBlock; i++ {
		data, proof := pieceOf(whole, o, i)
		refuse(t, "data of piece 0", d, block, i, data0, proof)
		if i > 1 { // 0 and 1 have their proof in common
			refuse(t, "proof of piece 0", d, block, i, data, proof0)
		}
		refuse(t, "data and proof of piece 0", d, block, i, data0, proof0)
		refuse(t, "sent as piece 0", d, block, 0, data, proof)
		refuse(t, "of another block", equalDigest, block, i, data, proof)
	}
	for i := range 4 { // equal bytes hash to something else at another place
		data, proof := pieceOf(equal, equalOutboard, i)
		refuse(t, "moved by two", equalDigest, 4*piece, i^2, data, proof)
	}
}

func TestCheckPieceRefusesMangledProofs(t *testing.T) {
	whole := noise()[:8*piece]
	d, o := hashBlock(t, whole)
	const n = 8 * piece
	for i := range 8 {
		data, proof := pieceOf(whole, o, i)
		a, b, c := proof[:64], proof[64:128], proof[128:]
		refuse(t, "nodes in reverse", d, n, i, data, slices.Concat(c, b, a))
		refuse(t, "lower nodes exchanged", d, n, i, data, slices.Concat(a, c, b))
		refuse(t, "root node thrice", d, n, i, data, slices.Concat(a, a, a))
		refuse(t, "halves exchanged", d, n, i, data, slices.Concat(a, b, c[32:], c[:32]))
		refuse(t, "node left out", d, n, i, data, slices.Concat(a, c))
		refuse(t, "node too many", d, n, i, data, slices.Concat(a, b, c, c))
		refuse(t, "no proof", d, n, i, data, nil)
		refuse(t, "zeros", d, n, i, data, make([]byte, len(proof)))
		refuse(t, "one byte short", d, n, i, data, proof[:len(proof)-1])
		refuse(t, "one byte long", d, n, i, data, append(slices.Clone(proof), 0))
		refuse(t, "data and proof exchanged", d, n, i, proof, data)
		refuse(t, "node for data", d, n, i, c, proof)
		refuse(t, "upper node as the whole proof", d, 2*piece, i%2, data, a)
	}
}

func TestCheckPieceRefusesLengths(t *testing.T) {
	const n = 2*piece + 5
	whole := noise()[:n]
	d, o := hashBlock(t, whole)
	for i := range 3 {
		data, proof := pieceOf(whole, o, i)
		refuse(t, "empty", d, n, i, nil, proof)
		refuse(t, "nothing at all", d, n, i, nil, nil)
		refuse(t, "data one byte short", d, n, i, data[:len(data)-1], proof)
		refuse(t, "data one byte long", d, n, i, append(slices.Clone(data), 0), proof)
		for _, other := range []int64{math.MinInt64, -piece, -1, 0, 1, 5, piece, 2 * piece, 4*piece + 1, block, block + 5, 1 << 60, math.MaxInt64} {
			refuse(t, "in a block of another length", d, other, i, data, proof)
		}
	}
	tail, proof := pieceOf(whole, o, 2)
	refuse(t, "tail with a zero", d, n+1, 2, append(slices.Clone(tail), 0), proof)
	refuse(t, "tail cut", d, n-1, 2, tail[:4], proof)
	refuse(t, "tail of four pieces", d, 3*piece+5, 2, append(slices.Clone(tail), make([]byte, piece-5)...), append(slices.Clone(proof), proof...))
	data, proof := pieceOf(whole, o, 0)
	for _, i := range []int{math.MinInt, -1, 3, 31, 32, math.MaxInt} {
		refuse(t, "at a place that is not there", d, n, i, data, proof)
	}
	refuse(t, "of an empty block", blake3.Sum256(nil), 0, 0, nil, nil)
	refuse(t, "of no digest", manifest.Digest{}, 1, 0, []byte{0}, nil)
}

// TestCheckPieceRefusesOversizeBlock serves a true tree of more than a block.
func TestCheckPieceRefusesOversizeBlock(t *testing.T) {
	whole := video()[:block+1]
	encoded, root := bao.EncodeBuf(whole, 10, true)
	refuse(t, "last piece of 33", root, block+1, 32, whole[block:], encoded[8:8+64])
}

func TestCheckPieceAllocatesNothing(t *testing.T) {
	whole := noise()[:2*piece]
	d, o := hashBlock(t, whole)
	data, proof := pieceOf(whole, o, 1)
	if n := testing.AllocsPerRun(5, func() { _ = manifest.CheckPiece(d, 2*piece, 1, data, proof) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestOutboardFill(t *testing.T) {
	for _, n := range []int{1, piece, 2 * piece, 5*piece + 1, 13 * piece, block} {
		whole := noise()[:n]
		d, o := hashBlock(t, whole)
		got := manifest.NewOutboard(int64(n))
		for _, i := range rand.New(rand.NewPCG(3, 4)).Perm(manifest.NumPieces(int64(n))) {
			data, proof := pieceOf(whole, o, i)
			got.Fill(int64(n), i, proof)
			prefix := []byte("kept")
			served := got.AppendProof(prefix, int64(n), i)
			if err := manifest.CheckPiece(d, int64(n), i, data, served[len(prefix):]); err != nil || !bytes.HasPrefix(served, prefix) {
				t.Errorf("%d bytes, piece %d served on: %v", n, i, err)
			}
		}
		if !bytes.Equal(got, o) {
			t.Errorf("%d bytes: the filled outboard differs", n)
		}
	}
}

func TestHashBlockRefusals(t *testing.T) {
	buf := make([]byte, piece)
	for _, n := range []int64{math.MinInt64, -1, 0, block + 1, math.MaxInt64} {
		if _, _, err := manifest.HashBlock(bytes.NewReader(nil), n, buf); err == nil {
			t.Errorf("hashed a block of %d bytes", n)
		}
	}
	for _, have := range []int{0, 1, piece, 2*piece - 1} {
		_, _, err := manifest.HashBlock(bytes.NewReader(noise()[:have]), 2*piece, buf)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes: error %v, want io.ErrUnexpectedEOF", have, 2*piece, err)
		}
	}
	broken := errors.New("broken")
	if _, _, err := manifest.HashBlock(iotest.ErrReader(broken), piece, buf); !errors.Is(err, broken) {
		t.Errorf("error %v, want that of the reader", err)
	}
}

func TestHashBlockFromSlowReader(t *testing.T) {
	data := noise()[:piece+1025]
	want := blake3.Sum256(data)
	for name, r := range map[string]io.Reader{
		"halves":   iotest.HalfReader(bytes.NewReader(data)),
		"data+EOF": iotest.DataErrReader(bytes.NewReader(data)),
	} {
		d, _, err := manifest.HashBlock(r, int64(len(data)), make([]byte, piece))
		if err != nil || d != want {
			t.Errorf("%s: %s, %v, want %x", name, d, err, want)
		}
	}
}

// FuzzCheckPiece alters the pieces of one small block. A piece must be accepted
// when nothing that it depends on was altered, and only then.
func FuzzCheckPiece(f *testing.F) {
	const n = 2*piece + 5
	whole := pattern(n)
	d, o := hashBlock(f, whole)
	for i := range 3 {
		data, proof := pieceOf(whole, o, i)
		f.Add(int64(n), i, uint32(0), []byte{}, int8(0), proof)
		f.Add(int64(n), i, uint32(3), []byte{0}, int8(0), proof)
		f.Add(int64(n+1), i, uint32(len(data)), []byte{9}, int8(1), proof)
		f.Add(int64(n), (i+1)%3, uint32(0), []byte{}, int8(0), proof)
		f.Add(int64(n), i, uint32(0), []byte{}, int8(-1), []byte{})
	}
	f.Fuzz(func(t *testing.T, blockLen int64, i int, at uint32, patch []byte, longer int8, proof []byte) {
		src := min(max(i, 0), 2)
		truth, trueProof := pieceOf(whole, o, src)
		data := append(slices.Clone(truth), make([]byte, 127)...)[:max(0, len(truth)+int(longer))]
		copy(data[min(int(at), len(data)):], patch)
		err := manifest.CheckPiece(d, blockLen, i, data, proof)
		// The first two pieces hang at the same place in a block of four.
		placed := i == src && (blockLen == n || i < 2 && blockLen > 2*piece && blockLen <= 4*piece)
		want := placed && bytes.Equal(data, truth) && bytes.Equal(proof, trueProof)
		if (err == nil) != want {
			t.Fatalf("block of %d bytes, piece %d: error %v, accepted should be %v", blockLen, i, err, want)
		}
		if err != nil && !errors.Is(err, manifest.ErrCorrupt) {
			t.Fatalf("error %v is not ErrCorrupt", err)
		}
	})
}

func BenchmarkHashBlock(b *testing.B) {
	src := bytes.NewReader(noise())
	buf := make([]byte, piece)
	b.SetBytes(block)
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(noise())
		if _, _, err := manifest.HashBlock(src, block, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckPiece(b *testing.B) {
	d, o := hashBlock(b, noise())
	data, proof := pieceOf(noise(), o, 13)
	b.SetBytes(piece)
	b.ReportAllocs()
	for b.Loop() {
		if err := manifest.CheckPiece(d, block, 13, data, proof); err != nil {
			b.Fatal(err)
		}
	}
}
