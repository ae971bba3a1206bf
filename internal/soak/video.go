package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

const (
	mb        = 1_000_000
	blockSize = 32 << 20 // of vidsync: what is there twice in this unit is known to be
	copyUnit  = 1 << 20
)

// video is what a round brings to the receiver. Its bytes follow from the seed,
// block by block.
type video struct {
	name   string
	path   string
	size   int64
	style  string   // plain, repeated or sparse
	blocks []uint64 // what each block holds: a stream of random bytes, or 0 for a hole
	cid    string   // once it was added
}

// drawVideo makes up the video of a round.
func (r *round) drawVideo() video {
	v := video{name: fmt.Sprintf("round %d.mp4", r.n)}
	least := min(smallest, r.largest/10) * mb
	v.size = int64(least + r.rng.IntN(r.largest*mb-least+1))
	v.path = filepath.Join(r.dir, v.name)
	v.style = []string{"plain", "plain", "repeated", "sparse"}[r.rng.IntN(4)]
	first := r.rng.Uint64() | 1
	n := int((v.size + blockSize - 1) / blockSize)
	for i := range n {
		stream := first + uint64(i)
		switch {
		case v.style == "repeated" && r.rng.IntN(2) == 0:
			stream = first + uint64(r.rng.IntN(i+1))
		case v.style == "sparse" && r.rng.IntN(2) == 0:
			stream = 0
		}
		v.blocks = append(v.blocks, stream)
	}
	return v
}

// write makes the file.
func (v video) write() (err error) {
	f, err := os.Create(v.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(v.size); err != nil {
		return err
	}
	buf := make([]byte, copyUnit)
	for i, stream := range v.blocks {
		if stream == 0 {
			continue
		}
		at := int64(i) * blockSize
		source := content(stream, min(blockSize, v.size-at))
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.NewOffsetWriter(f, at)}, source, buf); err != nil {
			return err
		}
	}
	return nil
}

// content is so many bytes of a stream of random ones.
func content(stream uint64, size int64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], stream)
	return io.LimitReader(rand.NewChaCha8(key), size)
}
