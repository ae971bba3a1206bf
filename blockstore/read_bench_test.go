package blockstore_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/vidsync/vidsync/blockstore"
	"github.com/vidsync/vidsync/manifest"
)

func BenchmarkLoadPiece(b *testing.B) {
	benchmarkRead(b, (*blockstore.Store).LoadPiece)
}

func BenchmarkReadPiece(b *testing.B) {
	benchmarkRead(b, (*blockstore.Store).ReadPiece)
}

// benchmarkRead reads a file of two blocks in order, over and over.
func benchmarkRead(b *testing.B, read func(*blockstore.Store, context.Context, manifest.Digest, int64, int, []byte, []byte) ([]byte, []byte, error)) {
	s := open(b, b.TempDir())
	m := add(b, s, write(b, filepath.Join(b.TempDir(), "a"), noise(1, 2*blockSize)))
	buf, proof := make([]byte, pieceSize), make([]byte, 0, manifest.MaxProofBytes)
	b.SetBytes(pieceSize)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		block := m.Block(i / 32 % 2)
		if _, _, err := read(s, b.Context(), block.Digest, block.Len, i%32, buf, proof); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpenClose is what every command without a daemon pays.
func BenchmarkOpenClose(b *testing.B) {
	dir := b.TempDir()
	s, err := blockstore.Open(dir, blockstore.Config{})
	if err != nil {
		b.Fatal(err)
	}
	add(b, s, write(b, filepath.Join(b.TempDir(), "a"), noise(1, 10)))
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := blockstore.Open(dir, blockstore.Config{})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
