package manifest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"lukechampine.com/blake3"

	"github.com/vidsync/vidsync/manifest"
)

// readerAt is a source made of one function.
type readerAt func(p []byte, at int64) (int, error)

func (f readerAt) ReadAt(p []byte, at int64) (int, error) { return f(p, at) }

func TestSplit(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, n := range []int{0, 1, piece, piece + 1, block, 2*block + 12345} {
		data := video()[:n]
		var want []manifest.Digest
		for at := 0; at < n; at += block {
			want = append(want, blake3.Sum256(data[at:min(at+block, n)]))
		}
		wantManifest, err := manifest.New(int64(n), want)
		if err != nil {
			t.Fatal(err)
		}
		for workers := range 2 { // 0: one a core
			var read atomic.Int64
			var seen []manifest.Block
			m, err := manifest.Split(context.Background(), bytes.NewReader(data), int64(n), manifest.SplitConfig{
				Workers:  workers,
				Progress: func(n int64) { read.Add(n) },
				Block: func(b manifest.Block, o manifest.Outboard) error {
					seen = append(seen, b)
					part := data[b.Offset : b.Offset+b.Len]
					last, proof := pieceOf(part, o, manifest.NumPieces(b.Len)-1)
					return manifest.CheckPiece(b.Digest, b.Len, manifest.NumPieces(b.Len)-1, last, proof)
				},
			})
			if err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			same(t, m, wantManifest)
			slices.SortFunc(seen, func(a, b manifest.Block) int { return a.Index - b.Index })
			for i, b := range seen {
				if b != m.Block(i) {
					t.Errorf("%d bytes: block %+v, want %+v", n, b, m.Block(i))
				}
			}
			if len(seen) != m.NumBlocks() || read.Load() != int64(n) {
				t.Errorf("%d bytes: %d blocks of %d, progress %d", n, len(seen), m.NumBlocks(), read.Load())
			}
		}
	}
}

func TestSplitHolesEqualZeros(t *testing.T) {
	const size = 2*block + piece // the first block and the tail are zeros
	src := readerAt(func(p []byte, at int64) (int, error) {
		if at < block || at >= 2*block {
			clear(p)
			return len(p), nil
		}
		return copy(p, video()[at:]), nil
	})
	want, err := manifest.Split(context.Background(), src, size, manifest.SplitConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var read atomic.Int64
	got, err := manifest.Split(context.Background(), readerAt(func(p []byte, at int64) (int, error) {
		if at < block {
			t.Errorf("reads %d bytes of the hole at %d", len(p), at)
		}
		return src.ReadAt(p, at)
	}), size, manifest.SplitConfig{
		Progress: func(n int64) { read.Add(n) },
		Hole: func(at, n int64) bool {
			if at%block != 0 || n != block {
				t.Errorf("asks for a hole of %d bytes at %d", n, at)
			}
			return at == 0
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, want)
	if read.Load() != size {
		t.Errorf("progress %d of %d", read.Load(), int64(size))
	}
}

// TestSplitHoleOutboardIsOwn spoils each outboard it is given: the next one
// must be whole again.
func TestSplitHoleOutboardIsOwn(t *testing.T) {
	zeros := make([]byte, piece)
	_, err := manifest.Split(context.Background(), bytes.NewReader(nil), 4*block, manifest.SplitConfig{
		Hole: func(int64, int64) bool { return true },
		Block: func(b manifest.Block, o manifest.Outboard) error {
			proof := o.AppendProof(nil, b.Len, 31)
			clear(o)
			return manifest.CheckPiece(b.Digest, b.Len, 31, zeros, proof)
		},
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSplitShortSource(t *testing.T) {
	defer goleak.VerifyNone(t)
	data := video()
	for _, have := range []int{0, 1, piece, block, 2*block - 1} {
		for _, workers := range []int{1, 3} {
			m, err := manifest.Split(context.Background(), bytes.NewReader(data[:have]), 2*block, manifest.SplitConfig{Workers: workers})
			if !errors.Is(err, io.ErrUnexpectedEOF) || m != nil {
				t.Errorf("%d bytes with %d workers: error %v, want io.ErrUnexpectedEOF", have, workers, err)
			}
		}
	}
}

func TestSplitOddSources(t *testing.T) {
	defer goleak.VerifyNone(t)
	data := video()[:block+3*piece]
	want, err := manifest.Split(context.Background(), bytes.NewReader(data), int64(len(data)), manifest.SplitConfig{})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	for _, tc := range []struct {
		name string
		src  readerAt
		want error
	}{
		{"EOF with the last bytes", func(p []byte, at int64) (int, error) {
			n := copy(p, data[at:])
			if int(at)+n == len(data) {
				return n, io.EOF
			}
			return n, nil
		}, nil},
		{"a few bytes at a time", func(p []byte, at int64) (int, error) { return copy(p[:min(len(p), 100001)], data[at:]), nil }, nil},
		{"nothing, for ever", func([]byte, int64) (int, error) { return 0, nil }, io.ErrNoProgress},
		{"fails in the second block", func(p []byte, at int64) (int, error) {
			if at >= block+piece {
				return 7, broken
			}
			return copy(p, data[at:]), nil
		}, broken},
	} {
		m, err := manifest.Split(context.Background(), tc.src, int64(len(data)), manifest.SplitConfig{})
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: error %v, want %v", tc.name, err, tc.want)
		}
		if tc.want == nil {
			same(t, m, want)
		}
		if tc.want == broken && !strings.Contains(fmt.Sprint(err), "block 1") {
			t.Errorf("%s: error %q does not name the block", tc.name, err)
		}
	}
}

func TestSplitRefusesSizes(t *testing.T) {
	for _, size := range []int64{-1, -1 << 63, manifest.MaxVideoSize + 1, 1<<63 - 1} {
		if _, err := manifest.Split(context.Background(), bytes.NewReader(nil), size, manifest.SplitConfig{}); !errors.Is(err, manifest.ErrMalformed) {
			t.Errorf("size %d: error %v, want ErrMalformed", size, err)
		}
	}
}

func TestSplitEndsWithContext(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx, cancel := context.WithCancel(context.Background())
	var read atomic.Int64
	src := readerAt(func(p []byte, at int64) (int, error) { // without end
		if read.Add(1) == 40 {
			cancel()
		}
		return len(p), nil
	})
	m, err := manifest.Split(ctx, src, 1<<40, manifest.SplitConfig{Workers: 2})
	if !errors.Is(err, context.Canceled) || m != nil {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if read.Load() > 42 {
		t.Errorf("%d reads after the end of the context", read.Load()-40)
	}
	if _, err := manifest.Split(ctx, src, 1<<40, manifest.SplitConfig{Hole: func(int64, int64) bool { return true }}); !errors.Is(err, context.Canceled) {
		t.Errorf("over holes: error %v, want context.Canceled", err)
	}
}

func TestSplitBlockErrorIsTheLastCall(t *testing.T) {
	defer goleak.VerifyNone(t)
	full := errors.New("index full")
	var calls, inside int
	_, err := manifest.Split(context.Background(), bytes.NewReader(nil), 1000*block, manifest.SplitConfig{
		Workers: 8,
		Hole:    func(int64, int64) bool { return true },
		Block: func(manifest.Block, manifest.Outboard) error {
			if inside++; inside != 1 {
				t.Error("called while a call was under way")
			}
			defer func() { inside-- }()
			if calls++; calls == 100 {
				return full
			}
			return nil
		},
	})
	if !errors.Is(err, full) || calls != 100 {
		t.Errorf("error %v after %d calls, want %v after 100", err, calls, full)
	}
}

func BenchmarkSplit(b *testing.B) {
	data := video()[:2*block]
	for _, workers := range []int{1, 0} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := manifest.Split(context.Background(), bytes.NewReader(data), int64(len(data)), manifest.SplitConfig{Workers: workers}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
